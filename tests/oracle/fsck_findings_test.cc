// Every problem of the table: an image with exactly that damage gives exactly that finding.
//
// Each row damages a copy on write of an image that the kernel filled, with checksums kept right, and names what else
// the same damage cannot but break. A row without a finding, a finding without a row, or one more than named, fails.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "fsck/check.h"
#include "fsck/flaw_findings.h"
#include "fsck/problems.h"
#include "fsck/report.h"
#include "libfs/device/fault_device.h"
#include "libfs/device/memory_device.h"
#include "tests/oracle/fsck_rows_structures.h"
#include "tests/oracle/fsck_rows_trees.h"
#include "tests/support/oracle.h"

namespace xdax::test {
namespace {

// A device that ends early.
class ShortDevice final : public Device {
 public:
  ShortDevice(Device& base, std::uint64_t size_bytes) : base_(base), size_bytes_(size_bytes) {}
  [[nodiscard]] const std::string& name() const override { return base_.name(); }
  [[nodiscard]] std::uint64_t size_bytes() const override { return size_bytes_; }
  [[nodiscard]] const DeviceTraits& traits() const override { return base_.traits(); }
  void read_batch(std::span<ReadRequest> requests) override {
    for (ReadRequest& request : requests) {
      if (request.offset_bytes > size_bytes_ || request.buffer.size() > size_bytes_ - request.offset_bytes)
        request.error = make_error_code(Errc::kOutOfRange);
      else
        base_.read_batch({&request, 1});
    }
  }
  void write_batch(std::span<WriteRequest>) override { throw std::logic_error("the checker writes"); }
  void zero(std::uint64_t, std::uint64_t, ZeroMode) override { throw std::logic_error("the checker writes"); }
  bool discard(std::uint64_t, std::uint64_t) override { throw std::logic_error("the checker writes"); }
  void persist() override { throw std::logic_error("the checker writes"); }

 private:
  Device& base_;
  std::uint64_t size_bytes_;
};

constexpr std::uint64_t kImageBytes = 320ull << 20;
// Enough for three leaves and more in every tree of group 0.
constexpr Filling kFilling = {.files = 12000, .holes = 1200, .clones = 700};

std::set<std::string> ids_of(const fsck::CheckResult& result) {
  std::set<std::string> ids;
  for (const fsck::Finding& finding : result.findings.findings()) ids.insert(fsck::row_of(finding.problem).id);
  return ids;
}

std::string describe_all(const fsck::CheckResult& result) {
  std::string text;
  for (const fsck::Finding& finding : result.findings.findings()) {
    text += fsck::describe(finding) + "\n";
    if (text.size() > 4000) break;
  }
  return text;
}

class FsckFindings : public ::testing::Test {
 protected:
  void SetUp() override {
    XDAX_NEED_KERNEL_XFS();
    XDAX_NEED_XFSPROGS();
  }

  Device& base(Base which) {
    std::unique_ptr<Device>& device = bases_[static_cast<std::size_t>(which)];
    if (device) return *device;
    const std::filesystem::path image = dir_.sparse_file("base" + std::to_string(static_cast<int>(which)), kImageBytes);
    const std::vector<std::string> rich = {"-b", "size=1024", "-m", "rmapbt=1,reflink=1,finobt=1", "-d", "agcount=4"};
    if (which == Base::kFilled) make_kernel_image(image, rich, kFilling);
    if (which == Base::kDirty) make_kernel_image(image, rich, {.files = 2000}, Leave::kShutDownFlushed);
    if (which == Base::kPlain) run_or_throw({"mkfs.xfs", "-q", "-m", "rmapbt=0", image.string()});
    device = open_device(image.string(), {.mode = OpenMode::kRead});
    return *device;
  }

  void expect_exactly(const Row& row) {
    SCOPED_TRACE(fmt::format("{} ({})", row.id, row.name));
    OverlayDevice overlay(base(row.base));
    ImageEditor editor(overlay);
    ASSERT_NO_THROW(row.damage(editor));
    FaultDevice faulty(overlay, 1);
    if (row.unreadable) {
      const auto [byte, length] = row.unreadable(editor);
      faulty.add_rule({.operation = FaultOperation::kRead, .offset_bytes = byte, .length_bytes = length});
    }
    ShortDevice device(faulty, overlay.size_bytes() - row.cut_bytes);
    const fsck::CheckResult result = fsck::check_filesystem(device, {.threads = 2});
    std::set<std::string> expected(row.companions.begin(), row.companions.end());
    expected.insert(row.id);
    EXPECT_EQ(ids_of(result), expected) << describe_all(result);
    EXPECT_TRUE(result.findings.has_problems());
  }
  void expect_exactly(const std::vector<Row>& rows) {
    for (const Row& row : rows) expect_exactly(row);
  }

  TempDir dir_{memory_temp_parent()};
  std::unique_ptr<Device> bases_[3];
};

TEST_F(FsckFindings, BaseImagesAreCleanAndRich) {
  for (const Base which : {Base::kFilled, Base::kPlain}) {
    const fsck::CheckResult result = fsck::check_filesystem(base(which), {.threads = 2});
    EXPECT_EQ(ids_of(result), std::set<std::string>()) << describe_all(result);
  }
  ImageEditor editor(base(Base::kFilled));
  for (const BtreeKind kind : kAllTrees) {
    const auto levels = editor.levels(kind, 0);
    ASSERT_GE(levels.size(), 2u) << btree_spec(kind).name;
    EXPECT_GE(levels.back().size(), 4u) << btree_spec(kind).name;
  }
}

TEST_F(FsckFindings, Superblocks) { expect_exactly(superblock_rows()); }
TEST_F(FsckFindings, Headers) { expect_exactly(header_rows()); }
TEST_F(FsckFindings, Trees) { expect_exactly(tree_rows()); }
TEST_F(FsckFindings, Records) { expect_exactly(record_rows()); }
TEST_F(FsckFindings, CrossChecks) { expect_exactly(cross_rows()); }
TEST_F(FsckFindings, Counters) { expect_exactly(counter_rows()); }
TEST_F(FsckFindings, Log) { expect_exactly(log_rows()); }

// Not one bit of a header, a tree block or an unmount record may change unseen.
TEST_F(FsckFindings, AnyFlippedBitOfMetadataIsFound) {
  OverlayDevice overlay(base(Base::kFilled));
  ImageEditor editor(overlay);
  std::vector<std::pair<std::uint64_t, std::uint64_t>> places;
  for (std::uint32_t sector = 0; sector < 4; ++sector) {
    places.emplace_back(editor.geometry().header_byte(AgNumber(0), sector), editor.geometry().sector_bytes);
    places.emplace_back(editor.geometry().header_byte(AgNumber(2), sector), editor.geometry().sector_bytes);
  }
  for (const BtreeKind kind : kAllTrees) {
    const auto levels = editor.levels(kind, 0);
    places.emplace_back(editor.geometry().byte_of(AgNumber(0), levels.front().front()), editor.geometry().block_bytes);
    places.emplace_back(editor.geometry().byte_of(AgNumber(0), levels.back().back()), editor.geometry().block_bytes);
  }
  std::mt19937 random(5);
  for (const auto& [byte, length] : places) {
    for (int i = 0; i < 6; ++i) {
      overlay.drop_changes();
      const std::uint64_t where = byte + random() % length;
      const std::byte mask{static_cast<std::uint8_t>(1u << random() % 8)};
      editor.edit_bytes(where, 1, std::nullopt, [&](MutableByteSpan bytes) { bytes[0] ^= mask; });
      const fsck::CheckResult result = fsck::check_filesystem(overlay, {.threads = 2});
      EXPECT_TRUE(result.findings.has_problems()) << "byte " << where;
    }
  }
}

// Groups that are nowhere: a superblock that claims far more than there is, on a sparse device.
fsck::CheckResult check_endless_groups() {
  constexpr std::uint32_t kGroups = 80000;
  constexpr std::uint32_t kBlocks = 64;
  constexpr std::uint32_t kBlockBytes = 1024;
  MemoryDevice device({.size_bytes = std::uint64_t{kGroups} * kBlocks * kBlockBytes});
  auto& sb = mutable_view<Superblock>(device.bytes());
  sb.magicnum = Superblock::kMagic;
  sb.versionnum = 0xb4a5;
  sb.features2 = 0x18a;
  sb.bad_features2 = 0x18a;
  sb.features_incompat = incompat_bits::kFtype;
  sb.blocksize = kBlockBytes;
  sb.blocklog = 10;
  sb.sectsize = 512;
  sb.sectlog = 9;
  sb.inodesize = 512;
  sb.inodelog = 9;
  sb.inopblock = 2;
  sb.inopblog = 1;
  sb.agblocks = kBlocks;
  sb.agblklog = 6;
  sb.agcount = kGroups;
  sb.dblocks = std::uint64_t{kGroups} * kBlocks;
  sb.logstart = 10;
  sb.logblocks = 32;
  sb.rootino = 64;
  sb.rextsize = 1;
  sb.inoalignmt = 4;
  seal(device.bytes().first(512), offsetof(Superblock, crc));
  return fsck::check_filesystem(device, {.threads = 2});
}

TEST(FsckBounds, EndlessGroupsAreAbandoned) {
  const fsck::CheckResult result = check_endless_groups();
  EXPECT_THAT(ids_of(result), ::testing::IsSupersetOf({"fs.abandoned", "copy.magic", "agf.magic"}))
      << describe_all(result);
  EXPECT_LT(result.groups_checked, 80000u);
  EXPECT_LE(result.findings.findings().size(), 10000u);
}

TEST(FsckTable, EveryProblemHasARow) {
  std::set<std::string> covered = {"fs.abandoned"};  // FsckBounds
  for (const auto& rows :
       {superblock_rows(), header_rows(), tree_rows(), record_rows(), cross_rows(), counter_rows(), log_rows()}) {
    for (const Row& row : rows) covered.insert(row.id);
  }
  std::set<std::string> known;
  for (const fsck::ProblemRow& row : fsck::kProblems) known.insert(row.id);
  EXPECT_EQ(covered, known);
}

}  // namespace
}  // namespace xdax::test
