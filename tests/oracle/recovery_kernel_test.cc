// Logs that the kernel left at a forced shutdown, replayed by us and, on a copy, by the kernel's mount: the same tree,
// contents and attributes, and nothing that fsck.xdax or xfs_repair -n finds.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/xattr.h>

#include <regex>
#include <sstream>
#include <thread>

#include "fsck/check.h"
#include "fsck/report.h"
#include "libfs/base/error.h"
#include "libfs/device/overlay_device.h"
#include "libfs/journal/log_walk.h"
#include "libfs/recovery/recovery.h"
#include "tests/oracle/fsck_image.h"
#include "tests/support/oracle.h"
#include "tests/support/xfs_repair.h"

namespace xdax::test {
namespace {

Geometry geometry_of(Device& device) {
  std::vector<std::byte> sector(kBasicBlockBytes);
  device.read(0, sector);
  return Geometry(view<Superblock>(sector));
}

using Work = std::function<void(const std::filesystem::path& root)>;

void sync_now(const std::filesystem::path& root) {
  const FileHandle synced(root / "synced");
  synced.write(0, "now");
  if (::fsync(synced.fd()) != 0) throw std::system_error(errno, std::generic_category(), "fsync");
}

// Removed files are freed a little later, by a worker: until then they are in the lists of unlinked inodes.
void let_inodes_go(const std::filesystem::path& root) {
  for (unsigned i = 0; i < 5; ++i) {
    static_cast<void>(std::filesystem::space(root));  // makes the worker start
    std::this_thread::sleep_for(std::chrono::milliseconds(60));
  }
  sync_now(root);
}

void rename_storm(const std::filesystem::path& root) {
  std::filesystem::create_directories(root / "a/b/c");
  for (unsigned i = 0; i < 1500; ++i) {
    write_file(root / "a" / std::to_string(i), std::string(1 + i % 300, 'x'));
    if (i % 3 == 0) std::filesystem::rename(root / "a" / std::to_string(i), root / "a/b" / fmt::format("moved{}", i));
    if (i % 7 == 0) std::filesystem::create_hard_link(root / "a/b" / fmt::format("moved{}", i / 21 * 21), root / fmt::format("l{}", i));
    if (i % 5 == 4) std::filesystem::remove(root / "a" / std::to_string(i));
    if (i % 400 == 399) sync_now(root);
  }
  std::filesystem::rename(root / "a/b", root / "b");
  for (unsigned i = 0; i < 300; i += 2) std::filesystem::create_directory(root / "b" / fmt::format("dir{}", i));
}

void extents(const std::filesystem::path& root) {
  const FileHandle file(root / "fragmented");
  file.write(0, std::string(6u << 20, 'f'));
  if (::fsync(file.fd()) != 0) throw std::system_error(errno, std::generic_category(), "fsync");
  for (unsigned i = 1; i < 1500; i += 2) {
    file.allocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, std::uint64_t{i} * 4096, 4096);
  }
  const FileHandle unwritten(root / "unwritten");
  unwritten.allocate(0, 0, 5u << 20);
  unwritten.write(1u << 20, std::string(300000, 'w'));
  for (unsigned i = 0; i < 40; ++i) write_file(root / fmt::format("big{}", i), std::string(200000, 'b'));
  for (unsigned i = 0; i < 40; i += 3) std::filesystem::remove(root / fmt::format("big{}", i));
  if (::syncfs(unwritten.fd()) != 0) throw std::system_error(errno, std::generic_category(), "syncfs");
}

void clones(const std::filesystem::path& root) {
  make_clones(root, {.clones = 300}, 4096);
  sync_now(root);
}

void attributes(const std::filesystem::path& root) {
  for (unsigned f = 0; f < 20; ++f) {
    const std::filesystem::path path = root / fmt::format("file{}", f);
    write_file(path, "x");
    for (unsigned i = 0; i < 10 * f; ++i) {
      const std::string value(1 + (i * 37) % 3000, static_cast<char>('a' + i % 26));
      const std::string name = fmt::format("user.n{}", i);
      if (::setxattr(path.c_str(), name.c_str(), value.data(), value.size(), 0) != 0)
        throw std::system_error(errno, std::generic_category(), "setxattr");
      if (i % 4 == 3) ::removexattr(path.c_str(), fmt::format("user.n{}", i - 2).c_str());
    }
  }
  sync_now(root);
}

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
    {"attributes", {}, attributes},
    {"attributes_1k", {"-b", "size=1024", "-m", "rmapbt=1"}, attributes},
};

// What xdax shows of everything.
std::string tree_of(const std::filesystem::path& image) {
  std::string all;
  for (const std::vector<std::string>& verb : {std::vector<std::string>{"ls", "-l", "-R"}, {"digest"}}) {
    std::vector<std::string> argv = {program_path("xdax")};
    argv.insert(argv.end(), verb.begin(), verb.end());
    argv.push_back(image.string());
    const ProcessResult result = run(argv);
    EXPECT_EQ(result.exit_status, 0) << result.err;
    all += result.out;
  }
  return all;
}

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

void expect_sound(const std::filesystem::path& image) {
  const auto device = open_device(image.string(), {.mode = OpenMode::kRead});
  const fsck::CheckResult result = fsck::check_filesystem(*device, {.threads = 2});
  std::string text;
  for (const fsck::Finding& finding : result.findings.findings()) {
    if (text.size() < 3000) text += fsck::describe(finding) + "\n";
  }
  EXPECT_EQ(text, "");
  EXPECT_TRUE(result.complete());
  const RepairVerdict verdict = xfs_repair_check(image);
  EXPECT_TRUE(verdict.clean) << verdict.output;
}

class RecoveryKernelOnce : public ::testing::Test {
 protected:
  void SetUp() override {
    XDAX_NEED_KERNEL_XFS();
    XDAX_NEED_XFSPROGS();
  }
  // A filesystem on which the work was done and which then was shut down.
  void shut_down_after(const std::vector<std::string>& options, const Work& work, bool flushed) {
    std::vector<std::string> argv = {"mkfs.xfs", "-q"};
    argv.insert(argv.end(), options.begin(), options.end());
    argv.push_back(image_);
    run_or_throw(argv, kAllowSmall);
    LoopDevice loop(image_);
    Mount mount(loop.path());
    work(mount.path());
    let_inodes_go(mount.path());
    if (!flushed) {
      // What is lost with the memory.
      for (unsigned i = 0; i < 500; ++i) write_file(mount.path() / fmt::format("lost{}", i), "x");
    }
    mount.shut_down(flushed);
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
  shut_down_after(GetParam().options, GetParam().work, GetParam().flushed);
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
  EXPECT_EQ(attributes_of(image_, ours), attributes_of(theirs_, expected));
  expect_sound(image_);
  // The log goes on from there.
  mount_and_unmount(image_, [](const std::filesystem::path& root) { std::filesystem::create_directory(root / "after");
    rename_storm(root / "after"); });
  expect_sound(image_);
}

// Once more over what is replayed already changes nothing.
TEST_F(RecoveryKernelOnce, TwiceIsOnce) {
  shut_down_after({}, rename_storm, true);
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

// Files that were open and had no name: left to whoever can free them, and the log with them.
TEST_F(RecoveryKernelOnce, OpenUnlinkedFilesKeepTheLogDirty) {
  run_or_throw({"mkfs.xfs", "-q", image_.string()});
  {
    LoopDevice loop(image_);
    Mount mount(loop.path());
    const FileHandle open(mount.path() / "open");
    open.write(0, std::string(100000, 'o'));
    std::filesystem::remove(mount.path() / "open");
    sync_now(mount.path());
    __u32 flags = 1;  // the log is flushed first
    if (::ioctl(open.fd(), _IOR('X', 125, __u32), &flags) != 0) throw std::system_error(errno, std::generic_category());
  }
  {
    const auto device = open_device(image_.string(), {.mode = OpenMode::kReadWrite});
    const RecoveryReport report = recover(*device, geometry_of(*device));
    device->persist();
    EXPECT_EQ(report.unlinked_lists, 1u);
    EXPECT_FALSE(report.complete());
    EXPECT_EQ(read_log_summary(*device, LogPlace::of(geometry_of(*device))).state, LogState::kDirty);
  }
  mount_and_unmount(image_);
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
  shut_down_after(GetParam().options, GetParam().work, GetParam().flushed);
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
        for (const LogItem& item : transaction.items) ours.push_back(fmt::format("{} {}", name(item.type), item.regions.size()));
      });
  EXPECT_FALSE(result.damage);
  EXPECT_EQ(ours, printed_items(image_));
}

INSTANTIATE_TEST_SUITE_P(Work, RecoveryKernel, ::testing::ValuesIn(kCases),
                         [](const auto& instance) { return std::string(instance.param.name); });

}  // namespace
}  // namespace xdax::test
