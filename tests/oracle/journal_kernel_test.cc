// Head, tail and state of logs the kernel and xfsprogs make, against xfs_logprint.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>

#include "libfs/journal/log_reader.h"
#include "tests/oracle/fsck_image.h"
#include "tests/support/oracle.h"

namespace xdax::test {
namespace {

LogSummary summary_of(const std::filesystem::path& image) {
  const auto device = open_device(image.string(), {.mode = OpenMode::kRead});
  const ImageEditor editor(*device);
  return read_log_summary(*device, LogPlace::of(editor.geometry()));
}

struct Printed {
  std::uint32_t tail = 0;
  std::uint32_t head = 0;
  std::string state;
};

Printed logprint(const std::filesystem::path& image) {
  const ProcessResult result = run({"xfs_logprint", "-t", image});
  static const std::regex line("log tail: ([0-9]+) head: ([0-9]+) state: <([A-Z]+)>");
  std::smatch match;
  if (!std::regex_search(result.out, match, line)) throw std::runtime_error("xfs_logprint: " + result.describe());
  return {static_cast<std::uint32_t>(std::stoul(match[1])), static_cast<std::uint32_t>(std::stoul(match[2])), match[3]};
}

void expect_agreement(const std::filesystem::path& image, const char* when) {
  SCOPED_TRACE(when);
  const LogSummary ours = summary_of(image);
  const Printed theirs = logprint(image);
  ASSERT_TRUE(ours.head && ours.tail) << to_string(ours.state) << " " << ours.detail;
  EXPECT_EQ(ours.state, theirs.state == "CLEAN" ? LogState::kClean : LogState::kDirty) << ours.detail;
  EXPECT_EQ(ours.head->block, theirs.head);
  EXPECT_EQ(ours.tail->block, theirs.tail);
  EXPECT_TRUE(ours.uuid_matches);
  EXPECT_EQ(ours.bad_checksums, 0u);
  if (ours.state == LogState::kDirty) {
    EXPECT_GT(ours.records, 0u);
  }
}

// Each round commits a few hundred small transactions, so that a small log goes round.
void churn(const std::filesystem::path& root, unsigned rounds) {
  for (unsigned round = 0; round < rounds; ++round) {
    const std::filesystem::path folder = root / fmt::format("round{}", round % 4);
    std::filesystem::create_directories(folder);
    for (unsigned i = 0; i < 400; ++i) write_file(folder / std::to_string(i), std::string(1 + i, 'x'));
    const FileHandle synced(folder / "synced");
    synced.write(0, "now");
    if (::fsync(synced.fd()) != 0) throw std::system_error(errno, std::generic_category(), "fsync");
    std::filesystem::remove_all(folder);
  }
}

struct LogCase {
  const char* name;
  std::vector<std::string> options;
  std::uint32_t sector_bytes = 512;
};
std::ostream& operator<<(std::ostream& out, const LogCase& each) { return out << each.name; }

const std::vector<LogCase> kLogs = {
    {"plain", {}},
    {"small", {"-m", "reflink=0", "-d", "agcount=1,size=64m", "-l", "size=1000b"}},
    {"block_1k", {"-b", "size=1024"}},
    {"stripe_32k", {"-l", "su=32k"}},
    {"stripe_256k", {"-l", "su=256k"}},
    {"sector_4k", {"-s", "size=4096"}, 4096},
    {"block_64k", {"-b", "size=65536"}},
};

class JournalKernel : public ::testing::TestWithParam<LogCase> {
 protected:
  void SetUp() override {
    XDAX_NEED_KERNEL_XFS();
    XDAX_NEED_XFSPROGS();
    std::vector<std::string> argv = {"mkfs.xfs", "-q"};
    argv.insert(argv.end(), GetParam().options.begin(), GetParam().options.end());
    argv.push_back(image_);
    run_or_throw(argv, kAllowSmall);
  }

  TempDir dir_{memory_temp_parent()};
  std::filesystem::path image_ = dir_.sparse_file("image", 1000ull << 20);
};

TEST_P(JournalKernel, AgreesWithLogprintThroughItsLife) {
  expect_agreement(image_, "fresh");
  std::optional<Lsn> before;
  for (unsigned life = 0; life < 3; ++life) {
    {
      LoopDevice loop(image_, {.sector_bytes = GetParam().sector_bytes});
      Mount mount(loop.path());
      churn(mount.path(), 20);
      mount.shut_down(life != 1);
    }
    expect_agreement(image_, "shut down");
    {
      LoopDevice loop(image_, {.sector_bytes = GetParam().sector_bytes});
      Mount mount(loop.path());
      churn(mount.path(), 3);
    }
    expect_agreement(image_, "unmounted");
    const LogSummary now = summary_of(image_);
    if (before) {
      EXPECT_GT(*now.head, *before);
    }
    before = now.head;
  }
  if (std::string(GetParam().name) == "small") {
    EXPECT_GT(before->cycle, 2u) << "the log never went round";
  }
  {
    LoopDevice loop(image_, {.sector_bytes = GetParam().sector_bytes});
    Mount mount(loop.path());
    churn(mount.path(), 2);
    mount.shut_down(true);
  }
  (void)run({"xfs_repair", "-L", image_});
  expect_agreement(image_, "after xfs_repair -L");
}

INSTANTIATE_TEST_SUITE_P(All, JournalKernel, ::testing::ValuesIn(kLogs),
                         [](const auto& each) { return std::string(each.param.name); });

// A crash may leave any prefix of what was in flight: cut the newest blocks off a dirty log, as if they had not
// arrived.
TEST(JournalTorn, MountAndReaderAgreeOnTornHeads) {
  XDAX_NEED_KERNEL_XFS();
  XDAX_NEED_XFSPROGS();
  const TempDir dir(memory_temp_parent());
  const std::filesystem::path image = dir.sparse_file("image", 400ull << 20);
  run_or_throw({"mkfs.xfs", "-q", image});
  {
    LoopDevice loop(image);
    Mount mount(loop.path());
    churn(mount.path(), 5);
    mount.shut_down(true);
  }
  const LogSummary whole = summary_of(image);
  ASSERT_EQ(whole.state, LogState::kDirty);
  const std::filesystem::path torn = dir.path("torn");
  for (const std::uint32_t blocks : {1u, 3u, 20u, 64u}) {
    std::filesystem::copy_file(image, torn, std::filesystem::copy_options::overwrite_existing);
    const auto device = open_device(torn.string(), {.mode = OpenMode::kRead});
    const LogPlace place = LogPlace::of(ImageEditor(*device).geometry());
    overwrite(torn, place.offset_bytes + (whole.head->block - blocks) * std::uint64_t{kBasicBlockBytes},
              std::string(std::size_t{blocks} * kBasicBlockBytes, '\0'));
    const LogSummary cut = read_log_summary(*device, place);
    EXPECT_EQ(cut.state, LogState::kDirty) << blocks << ": " << cut.detail;
    EXPECT_LT(*cut.head, *whole.head);
    EXPECT_GE(cut.torn_records, 1u);
    const Printed theirs = logprint(torn);
    EXPECT_EQ(cut.tail->block, theirs.tail) << blocks;
    LoopDevice loop(torn);
    EXPECT_NO_THROW(Mount(loop.path(), "nouuid")) << blocks;
  }
}

}  // namespace
}  // namespace xdax::test
