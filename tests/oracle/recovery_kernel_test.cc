// Logs that the kernel left at a forced shutdown, replayed by us and, on a copy, by the kernel's mount: the same tree,
// contents and attributes, and nothing that fsck.xdax or xfs_repair -n finds.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>
#include <sstream>

#include "libfs/base/error.h"
#include "libfs/device/overlay_device.h"
#include "libfs/journal/log_walk.h"
#include "libfs/recovery/recovery.h"
#include "tests/oracle/recovery_compare.h"
#include "tests/oracle/recovery_work.h"
#include "tests/support/oracle.h"

namespace xdax::test {
namespace {

struct Case {
  const char* name;
  std::vector<std::string> options;
  Work work;
  bool flushed = true;
};
std::ostream& operator<<(std::ostream& out, const Case& each) { return out << each.name; }

const std::vector<Case> kCases = {
    {"renames", {}, rename_storm},
    {"renames_unflushed", {}, rename_storm, false},
    {"renames_1k", {"-b", "size=1024", "-m", "rmapbt=1"}, rename_storm},
    {"renames_stripe", {"-l", "su=256k"}, rename_storm},
    {"renames_small_log", {"-m", "reflink=0", "-d", "agcount=1", "-l", "size=1200b"}, rename_storm},
    {"extents", {"-m", "rmapbt=1"}, extents},
    {"extents_1k", {"-b", "size=1024"}, extents},
    {"clones", {"-m", "rmapbt=1"}, clones},
    {"chunks_to_data", {"-d", "agcount=1", "-m", "reflink=0"}, chunks_to_data},
    {"attributes", {}, attributes},
    {"attributes_1k", {"-b", "size=1024", "-m", "rmapbt=1"}, attributes},
};

std::string attributes_of(const std::filesystem::path& image, const std::string& tree) {
  std::string all;
  std::istringstream lines(tree);
  static const std::regex file(R"([0-9a-f]{32} file (/file[0-9]+))");
  for (std::string line; std::getline(lines, line);) {
    std::smatch match;
    if (!std::regex_match(line, match, file)) continue;
    all += run_or_throw({program_path("xdax"), "xattr", "--json", image.string(), match[1]}).out;
  }
  return all;
}

class RecoveryKernelOnce : public ::testing::Test {
 protected:
  void SetUp() override {
    XDAX_NEED_KERNEL_XFS();
    XDAX_NEED_XFSPROGS();
  }
  static void mount_and_unmount(const std::filesystem::path& image, const Work& work = {}) {
    LoopDevice loop(image);
    Mount mount(loop.path());
    if (work) work(mount.path());
  }

  TempDir dir_{memory_temp_parent()};
  std::filesystem::path image_ = dir_.sparse_file("image", 400ull << 20);
  std::filesystem::path theirs_ = dir_.path() / "theirs";
};

class RecoveryKernel : public RecoveryKernelOnce, public ::testing::WithParamInterface<Case> {};

TEST_P(RecoveryKernel, GivesWhatAMountGives) {
  shut_down_after(image_, GetParam().options, GetParam().work, GetParam().flushed);
  run_or_throw({"cp", "--sparse=always", image_.string(), theirs_.string()});
  mount_and_unmount(theirs_);
  {
    const auto device = open_device(image_.string(), {.mode = OpenMode::kReadWrite});
    const Geometry geometry = geometry_of(*device);
    const RecoveryReport report = recover(*device, geometry);
    device->persist();
    EXPECT_EQ(report.log.state, LogState::kDirty);
    EXPECT_FALSE(report.walk.damage) << report.walk.damage->what;
    EXPECT_GT(report.counts.transactions, 0u);
    ASSERT_TRUE(report.complete()) << report.unfinished.size() << " intents, " << report.unlinked_lists << " lists";
  }
  const std::string ours = tree_of(image_);
  const std::string expected = tree_of(theirs_);
  EXPECT_EQ(ours, expected);
  const std::string attributes_here = attributes_of(image_, ours);
  EXPECT_EQ(attributes_here, attributes_of(theirs_, expected));
  if (std::string(GetParam().name).starts_with("attributes")) {
    EXPECT_GT(attributes_here.size(), 10000u);
  }
  expect_sound(image_);
  // The log goes on from there.
  mount_and_unmount(image_, [](const std::filesystem::path& root) {
    std::filesystem::create_directory(root / "after");
    rename_storm(root / "after");
  });
  expect_sound(image_);
}

// Once more over what is replayed already changes nothing.
TEST_F(RecoveryKernelOnce, TwiceIsOnce) {
  shut_down_after(image_, {}, rename_storm);
  const auto device = open_device(image_.string(), {.mode = OpenMode::kRead});
  const Geometry geometry = geometry_of(*device);
  OverlayDevice once(*device);
  static_cast<void>(replay_log(once, geometry));
  OverlayDevice twice(static_cast<Device&>(once));
  const RecoveryReport report = replay_log(twice, geometry);
  EXPECT_TRUE(report.complete());
  for (std::uint64_t at = 0; at < device->size_bytes(); at += 1u << 20) {
    std::vector<std::byte> first(1u << 20);
    std::vector<std::byte> second(1u << 20);
    once.read(at, first);
    twice.read(at, second);
    ASSERT_EQ(first, second) << at;
  }
}

// A mount of this log fails in the kernel that this was written with (6.18): it verifies the inode in the middle of its
// replay, before its checksum is made right.
TEST_F(RecoveryKernelOnce, ExtentMapsThatChangedTheirFilesAreOwnedByThem) {
  shut_down_after(image_, {"-m", "reflink=0,rmapbt=0"}, exchanges);
  {
    const auto device = open_device(image_.string(), {.mode = OpenMode::kReadWrite});
    EXPECT_TRUE(recover(*device, geometry_of(*device)).complete());
    device->persist();
  }
  expect_sound(image_);
  mount_and_unmount(image_, [](const std::filesystem::path& root) {
    EXPECT_EQ(read_bytes(root / "one", 0, 4), "tttt");
    EXPECT_EQ(read_bytes(root / "other", (8u << 20) - 4, 4), "nnnn");
  });
  expect_sound(image_);
}

// Items of every transaction as xfs_logprint lists them: kind and number of regions.
std::vector<std::string> printed_items(const std::filesystem::path& image) {
  std::vector<std::string> all;
  std::istringstream lines(run({"xfs_logprint", "-t", image}).out);
  static const std::regex item(R"(^(BUF|INO|ICR|DQUOT|EFI|EFD|RUI|RUD|CUI|CUD|BUI|BUD): cnt:([0-9]+).*)");
  for (std::string line; std::getline(lines, line);) {
    std::smatch match;
    if (line.starts_with("TRANS:")) all.emplace_back("transaction");
    if (std::regex_match(line, match, item)) all.push_back(fmt::format("{} {}", match[1].str(), match[2].str()));
  }
  return all;
}

TEST_P(RecoveryKernel, WalksTheTransactionsThatLogprintLists) {
  shut_down_after(image_, GetParam().options, GetParam().work, GetParam().flushed);
  const auto device = open_device(image_.string(), {.mode = OpenMode::kRead});
  const LogPlace place = LogPlace::of(geometry_of(*device));
  std::vector<std::string> ours;
  const auto name = [](LogItemType type) -> std::string {
    switch (type) {
      case LogItemType::kBuffer:
        return "BUF";
      case LogItemType::kInode:
        return "INO";
      case LogItemType::kIcreate:
        return "ICR";
      default: {
        std::string word = to_string(type);
        for (char& letter : word) letter = static_cast<char>(std::toupper(static_cast<unsigned char>(letter)));
        return word;
      }
    }
  };
  const LogWalkResult result =
      walk_log(*device, place, read_log_summary(*device, place), [&](const LogTransaction& transaction) {
        ours.emplace_back("transaction");
        for (const LogItem& item : transaction.items)
          ours.push_back(fmt::format("{} {}", name(item.type), item.regions.size()));
      });
  EXPECT_FALSE(result.damage);
  EXPECT_GT(ours.size(), 20u);
  EXPECT_EQ(ours, printed_items(image_));
}

INSTANTIATE_TEST_SUITE_P(Work, RecoveryKernel, ::testing::ValuesIn(kCases),
                         [](const auto& instance) { return std::string(instance.param.name); });

}  // namespace
}  // namespace xdax::test
