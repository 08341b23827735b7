// What mkfs writes: complete, consistent, reproducible; and nothing that looks like a filesystem when it is stopped.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <random>

#include "fsck/check.h"
#include "libfs/device/fault_device.h"
#include "libfs/device/memory_device.h"
#include "libfs/device/recording_device.h"
#include "libfs/format/agf.h"
#include "libfs/format/agfl.h"
#include "libfs/format/agi.h"
#include "libfs/format/btree_block.h"
#include "libfs/format/inode.h"
#include "libfs/format/log_record.h"
#include "mkfs/format.h"
#include "mkfs/layout.h"

namespace xdax::mkfs {
namespace {

constexpr std::uint64_t kMiB = 1ull << 20;
constexpr std::uint64_t kGiB = 1ull << 30;
constexpr std::uint64_t kTiB = 1ull << 40;

struct Shape {
  const char* name;
  std::uint64_t size_bytes;
  FormatRequest request;
};
std::ostream& operator<<(std::ostream& stream, const Shape& shape) { return stream << shape.name; }

FormatRequest with(const std::function<void(FormatRequest&)>& change) {
  FormatRequest request;
  request.allow_tiny = true;
  request.uuid = Uuid::parse("01234567-89ab-cdef-0123-456789abcdef");
  request.time_seconds = 1'700'000'000;
  change(request);
  return request;
}

std::vector<Shape> shapes() {
  return {
      {"defaults", kGiB, with([](FormatRequest&) {})},
      {"smallest", 16 * kMiB, with([](FormatRequest& r) { r.rmapbt = r.reflink = false; })},
      {"block_1024", kGiB, with([](FormatRequest& r) { r.block_bytes = 1024; })},
      {"block_65536", 2 * kGiB, with([](FormatRequest& r) { r.block_bytes = 65536; })},
      {"block_65536_not_sparse", 2 * kGiB, with([](FormatRequest& r) { r.block_bytes = 65536, r.sparse = false; })},
      {"sector_4096", kGiB, with([](FormatRequest& r) { r.sector_bytes = 4096; })},
      {"inode_2048", kGiB, with([](FormatRequest& r) { r.inode_bytes = 2048; })},
      {"plain", kGiB,
       with([](FormatRequest& r) { r.rmapbt = r.reflink = r.finobt = r.nrext64 = r.bigtime = r.sparse = false; })},
      {"stripe", 4 * kGiB, with([](FormatRequest& r) { r.stripe_unit_bytes = 65536, r.stripe_width_units = 4; })},
      {"dax", 4 * kGiB, with([](FormatRequest& r) { r.dax = true; })},
      {"log_in_group_0", kGiB, with([](FormatRequest& r) { r.log_ag = 0; })},
      {"log_stripe_256k", kGiB, with([](FormatRequest& r) { r.log_stripe_bytes = 262144; })},
      {"one_group", 500 * kMiB, with([](FormatRequest& r) { r.ag_count = 1; })},
      {"many_groups", 2 * kGiB, with([](FormatRequest& r) { r.ag_bytes = 32 * kMiB, r.rmapbt = r.reflink = false; })},
      {"short_last_group", 1033 * kMiB, with([](FormatRequest& r) { r.ag_bytes = 100 * kMiB; })},
      {"sixteen_tebibytes", 16 * kTiB, with([](FormatRequest&) {})},
  };
}

class MkfsImage : public ::testing::TestWithParam<Shape> {
 protected:
  MkfsImage()
      : device_({.size_bytes = GetParam().size_bytes}),
        plan_(make_plan(GetParam().request, DeviceFacts::of(device_))) {}

  [[nodiscard]] ByteSpan bytes(std::uint64_t offset_bytes, std::uint64_t length_bytes) const {
    return *device_.mapped(offset_bytes, length_bytes);
  }
  [[nodiscard]] ByteSpan header(std::uint32_t ag, std::uint32_t index) const {
    return bytes(plan_.geometry.header_byte(AgNumber(ag), index), plan_.geometry.sector_bytes);
  }

  MemoryDevice device_;
  Plan plan_;
};

std::string describe(const Flaws& flaws) {
  std::string text;
  for (const Flaw& flaw : flaws)
    text += fmt::format("{} {} found {:#x} expected {:#x}: {}\n", to_string(flaw.kind), flaw.field, flaw.found,
                        flaw.expected, flaw.rule);
  return text;
}
#define EXPECT_NO_FLAWS(expression)                          \
  do {                                                       \
    const Flaws flaws_seen = (expression);                   \
    EXPECT_TRUE(flaws_seen.empty()) << describe(flaws_seen); \
  } while (false)

TEST_P(MkfsImage, EveryStructurePassesItsVerifier) {
  format_device(device_, plan_, {});
  const Geometry& geometry = plan_.geometry;
  for (std::uint32_t ag = 0; ag < geometry.ag_count; ++ag) {
    SCOPED_TRACE(fmt::format("group {}", ag));
    const AgNumber number(ag);
    EXPECT_NO_FLAWS(
        verify_superblock(header(ag, 0), {.ag = number, .device_bytes = device_.size_bytes(), .primary = ag == 0}));
    EXPECT_NO_FLAWS(verify_agf(header(ag, 1), geometry, number));
    EXPECT_NO_FLAWS(verify_agi(header(ag, 2), geometry, number));
    const auto& agf = view<Agf>(header(ag, 1));
    EXPECT_NO_FLAWS(verify_agfl(header(ag, 3), geometry, number, {agf.flfirst, agf.fllast, agf.flcount}));
    const AgLayout layout = lay_out_group(geometry, number);
    const auto root = [&](BtreeKind kind, std::uint32_t block) {
      if (block == 0) return;
      EXPECT_NO_FLAWS(
          verify_short_btree_block(bytes(geometry.byte_of(number, AgBlock(block)), geometry.block_bytes), geometry,
                                   {.kind = kind, .ag = number, .block = AgBlock(block), .level = 0, .root = true}));
    };
    root(BtreeKind::kBno, layout.bno_root);
    root(BtreeKind::kCnt, layout.cnt_root);
    root(BtreeKind::kInobt, layout.inobt_root);
    root(BtreeKind::kFinobt, layout.finobt_root);
    root(BtreeKind::kRmap, layout.rmap_root);
    root(BtreeKind::kRefcount, layout.refcount_root);
  }
  for (std::uint32_t index = 0; index < first_inode_count(geometry); ++index) {
    const InodeNumber inode = geometry.root_inode + index;
    EXPECT_NO_FLAWS(verify_inode(bytes(geometry.byte_of(inode), geometry.inode_bytes), geometry, {.ino = inode}));
  }
  const std::uint64_t log_byte = geometry.byte_of(geometry.log_start);
  EXPECT_NO_FLAWS(verify_log_record_header(
      bytes(log_byte, kBasicBlockBytes), {.user_uuid = geometry.user_uuid,
                                          .block = 0,
                                          .log_blocks = geometry.log_blocks << (geometry.block_log - kBasicBlockLog)}));
}

TEST_P(MkfsImage, CheckerFindsNothing) {
  format_device(device_, plan_, {});
  const fsck::CheckResult result = fsck::check_filesystem(device_, {});
  EXPECT_EQ(result.findings.total(), 0u);
  EXPECT_EQ(result.groups_checked, plan_.geometry.ag_count);
}

TEST_P(MkfsImage, EveryBlockOfAGroupHasOnePlace) {
  for (std::uint32_t ag = 0; ag < plan_.geometry.ag_count; ++ag) {
    const AgLayout layout = lay_out_group(plan_.geometry, AgNumber(ag));
    std::vector<BlockRun> runs = layout.free;
    runs.push_back({0, layout.fixed});
    for (const BlockRun& run : {layout.log, layout.free_list, layout.inodes}) {
      if (run.length != 0) runs.push_back(run);
    }
    std::ranges::sort(runs, {}, &BlockRun::start);
    std::uint32_t next = 0;
    for (const BlockRun& run : runs) {
      ASSERT_EQ(run.start, next) << "group " << ag;
      ASSERT_GT(run.length, 0u);
      next = run.end();
    }
    EXPECT_EQ(next, layout.length) << "group " << ag;
  }
}

TEST_P(MkfsImage, IsTheSameByteForByteTheNextTime) {
  if (device_.size_bytes() > 4 * kGiB) return;  // comparing terabytes of zeros proves nothing more
  format_device(device_, plan_, {});
  MemoryDevice again({.size_bytes = GetParam().size_bytes});
  // A device that held something else: what shows through would be different bytes.
  for (std::uint64_t at = 0; at < again.size_bytes(); at += 64 * kMiB)
    std::memset(again.bytes().data() + at, 0xa5, 4096);
  const Plan plan = make_plan(GetParam().request, DeviceFacts::of(again));
  format_device(again, plan, {});
  const std::uint64_t fixed = std::uint64_t{lay_out_group(plan.geometry, AgNumber(0)).fixed} << plan.geometry.block_log;
  for (std::uint32_t ag = 0; ag < plan.geometry.ag_count; ++ag) {
    const std::uint64_t at = plan.geometry.byte_of(AgNumber(ag), AgBlock(0));
    EXPECT_EQ(std::memcmp(device_.bytes().data() + at, again.bytes().data() + at, fixed), 0) << "group " << ag;
  }
  const std::uint64_t log = plan.geometry.byte_of(plan.geometry.log_start);
  EXPECT_EQ(std::memcmp(device_.bytes().data() + log, again.bytes().data() + log,
                        std::uint64_t{plan.geometry.log_blocks} << plan.geometry.block_log),
            0);
}

INSTANTIATE_TEST_SUITE_P(Shapes, MkfsImage, ::testing::ValuesIn(shapes()),
                         [](const ::testing::TestParamInfo<Shape>& each) { return std::string(each.param.name); });

// --- stopping it
// ---------------------------------------------------------------------------------------------------------------

bool looks_like_a_filesystem(Device& device) {
  std::vector<std::byte> sector(512);
  device.read(0, sector);
  return view<be32>(sector) == Superblock::kMagic;
}

// A small device that holds an older filesystem of another shape, so that leftovers would be noticed.
std::unique_ptr<MemoryDevice> device_with_old_filesystem() {
  auto device = std::make_unique<MemoryDevice>(MemoryOptions{.size_bytes = 320 * kMiB});
  const Plan old =
      make_plan(with([](FormatRequest& r) { r.block_bytes = 1024, r.ag_count = 9, r.rmapbt = r.reflink = false; }),
                DeviceFacts::of(*device));
  format_device(*device, old, {});
  return device;
}

Plan plan_for(const Device& device) {
  return make_plan(with([](FormatRequest& r) { r.ag_count = 3; }), DeviceFacts::of(device));
}

TEST(MkfsStopped, AnErrorAtAnyOperationLeavesNoFilesystem) {
  int operations = 0;
  for (std::uint64_t skip = 0; skip < 200; ++skip) {
    const auto base = device_with_old_filesystem();
    FaultDevice faulty(*base, 1);
    const Plan plan = plan_for(*base);
    faulty.add_rule({.operation = FaultOperation::kAny, .action = FaultAction::kError, .skip = skip, .count = 1});
    try {
      format_device(faulty, plan, {});
      if (faulty.faults().empty()) break;                                      // past the last operation
      ASSERT_EQ(faulty.faults()[0].operation, FaultOperation::kRead) << skip;  // looking for an old filesystem may fail
      continue;
    } catch (const IoError&) {
      ++operations;
    }
    const FaultEvent event = faulty.faults().at(0);
    // The very first thing, taking the old superblock away, may fail and leave the old filesystem as it was. The last
    // barrier may fail after the superblock was written: it says so by failing, and the image is complete.
    const bool first = event.operation == FaultOperation::kZero && skip <= 1;
    std::vector<std::byte> sector(plan.geometry.sector_bytes);
    base->read(0, sector);
    const bool complete = view<Superblock>(sector).agcount == 3u && view<Superblock>(sector).inprogress == 0;
    if (first) {
      EXPECT_EQ(view<Superblock>(sector).agcount, 9u);
    } else {
      EXPECT_TRUE(!looks_like_a_filesystem(*base) || (event.operation == FaultOperation::kPersist && complete))
          << "operation " << skip;
    }
  }
  EXPECT_GT(operations, 8) << "the fault was never met";
}

TEST(MkfsStopped, APowerCutAtAnyMomentLeavesAllOrNothing) {
  const auto before = device_with_old_filesystem();
  const auto device = MemoryDevice::copy_of(before->bytes());
  RecordingDevice recording(*device);
  const Plan plan = plan_for(*device);
  format_device(recording, plan, {});
  const Trace trace = recording.take_trace();
  const std::vector<std::size_t> barriers = trace.barriers();
  ASSERT_EQ(barriers.size(), 3u);

  std::size_t states = 0;
  const auto check = [&](std::size_t count, const CrashState& state) {
    // Only the sectors that tell are rebuilt: an image of its own for each state would take minutes.
    const auto after = std::make_unique<MemoryDevice>(MemoryOptions{.size_bytes = before->size_bytes()});
    std::memcpy(after->bytes().data(), before->bytes().data(), 65536);
    trace.build(state, *after, std::byte{0xdd});
    ++states;
    if (!looks_like_a_filesystem(*after)) return;
    const auto& superblock = view<Superblock>(ByteSpan(after->bytes()).first(512));
    if (count <= barriers[0]) {
      EXPECT_EQ(superblock.agcount, 9u) << state.describe();
      EXPECT_EQ(std::memcmp(after->bytes().data(), before->bytes().data(), 65536), 0) << state.describe();
    } else {
      EXPECT_GT(count, barriers[1]) << state.describe();
      EXPECT_TRUE(verify_superblock(ByteSpan(after->bytes()).first(512), {}).empty()) << state.describe();
      EXPECT_EQ(superblock.agcount, 3u) << state.describe();
    }
  };
  for (std::size_t count = 0; count <= trace.events().size(); ++count) {
    for (const CrashState& state : trace.subsets(count, 12)) check(count, state);
    for (const CrashState& state : trace.torn(count, 4)) check(count, state);
    for (std::uint64_t seed = 0; seed < 6; ++seed) check(count, trace.random_state(count, seed));
  }
  EXPECT_GT(states, 200u);
}

TEST(MkfsStopped, CancellingLeavesNoFilesystem) {
  const auto device = device_with_old_filesystem();
  const std::atomic<bool> cancelled = true;
  try {
    format_device(*device, plan_for(*device), {.cancelled = &cancelled});
    FAIL() << "not cancelled";
  } catch (const RefusalError& error) {
    EXPECT_EQ(error.cause(), Errc::kCancelled);
  }
  EXPECT_FALSE(looks_like_a_filesystem(*device));
}

TEST(MkfsFormat, ErasesTheSuperblockCopiesOfAnOldFilesystem) {
  const auto device = device_with_old_filesystem();
  const Plan plan = plan_for(*device);
  format_device(*device, plan, {});
  const Geometry old(
      make_plan(with([](FormatRequest& r) { r.block_bytes = 1024, r.ag_count = 9, r.rmapbt = r.reflink = false; }),
                DeviceFacts::of(*device))
          .superblock);
  for (std::uint32_t ag = 1; ag < old.ag_count; ++ag) {
    const std::uint64_t at = old.byte_of(AgNumber(ag), AgBlock(0));
    bool belongs_to_new = false;
    for (std::uint32_t mine = 0; mine < plan.geometry.ag_count; ++mine)
      belongs_to_new |= plan.geometry.byte_of(AgNumber(mine), AgBlock(0)) == at;
    if (!belongs_to_new) {
      EXPECT_NE(view<be32>(*device->mapped(at, 512)), Superblock::kMagic) << "old group " << ag;
    }
  }
}

TEST(MkfsFormat, ADeviceTooSmallForThePlanIsLeftAlone) {
  MemoryDevice large({.size_bytes = kGiB});
  const Plan plan = plan_for(large);
  const auto small = device_with_old_filesystem();
  EXPECT_THROW(format_device(*small, plan, {}), RefusalError);
  EXPECT_TRUE(looks_like_a_filesystem(*small));
}

}  // namespace
}  // namespace xdax::mkfs
