// What an inode on disk says is what stat(2) said of the file while it was mounted.

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <map>
#include <string>
#include <vector>

#include "libfs/format/inode_fork.h"
#include "tests/oracle/format_image.h"
#include "tests/oracle/format_populate.h"
#include "tests/support/loop_device.h"
#include "tests/support/mount.h"
#include "tests/support/oracle.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace xdax::test {
namespace {

struct Case {
  const char* name;
  std::vector<std::string> mkfs;
};

class FormatInode : public testing::TestWithParam<Case> {};

void set_times(const std::filesystem::path& path, std::int64_t seconds, long nanoseconds) {
  const timespec times[2] = {{.tv_sec = seconds, .tv_nsec = nanoseconds}, {.tv_sec = seconds + 1, .tv_nsec = 0}};
  must(::utimensat(AT_FDCWD, path.c_str(), times, AT_SYMLINK_NOFOLLOW) == 0, "utimensat");
}

Timestamp time_of(const statx_timestamp& time) { return {.seconds = time.tv_sec, .nanoseconds = time.tv_nsec}; }

void expect_same(const struct statx& seen, const Bytes& inode) {
  const auto& core = view<InodeCore>(inode);
  EXPECT_EQ(core.mode, seen.stx_mode);
  EXPECT_EQ(core.nlink, seen.stx_nlink);
  EXPECT_EQ(core.uid, seen.stx_uid);
  EXPECT_EQ(core.gid, seen.stx_gid);
  EXPECT_EQ(core.size, seen.stx_size);
  EXPECT_EQ(decode_timestamp(core.atime, core.bigtime()), time_of(seen.stx_atime));
  EXPECT_EQ(decode_timestamp(core.mtime, core.bigtime()), time_of(seen.stx_mtime));
  EXPECT_EQ(decode_timestamp(core.ctime, core.bigtime()), time_of(seen.stx_ctime));
  EXPECT_EQ(decode_timestamp(core.crtime, core.bigtime()), time_of(seen.stx_btime));
  if (core.type() == FileType::kCharacterDevice || core.type() == FileType::kBlockDevice) {
    // Major number above 18 bits of minor number.
    const std::uint32_t device = view<be32>(fork_bytes(inode, Fork::kData));
    EXPECT_EQ(device >> 18, seen.stx_rdev_major);
    EXPECT_EQ(device & 0x3ffff, seen.stx_rdev_minor);
  }
  const std::uint32_t block_bytes = seen.stx_blksize;
  EXPECT_EQ(core.nblocks * (block_bytes / kBasicBlockBytes), seen.stx_blocks);
}

TEST_P(FormatInode, SaysWhatStatSaid) {
  XDAX_NEED_KERNEL_XFS();
  XDAX_NEED_XFSPROGS();
  const TempDir temp(memory_temp_parent());
  const auto path = temp.sparse_file("image", 512ull << 20);
  LoopDevice loop(path);
  std::vector<std::string> argv{"mkfs.xfs", "-q"};
  argv.insert(argv.end(), GetParam().mkfs.begin(), GetParam().mkfs.end());
  argv.push_back(loop.path());
  run_or_throw(argv);
  {
    Mount mount(loop.path(), "noatime");
    Populate(mount.path(), {.fragments = 100, .inodes = 10}).everything();
    // Times at and past the ends of both forms, before 1970, and with all digits.
    const std::pair<std::int64_t, long> times[] = {{0, 0},          {-1, 999'999'999},         {-2147483648ll, 0},
                                                   {2147483646, 1}, {2147483648ll, 123456789}, {16299260422ll, 0},
                                                   {1ll << 40, 5},  {-(1ll << 40), 5}};
    int i = 0;
    for (const auto& [seconds, nanoseconds] : times) {
      const auto file = mount.path("time" + std::to_string(i++));
      Populate::touch(file);
      must(::chown(file.c_str(), 0xfffffffe, 70000) == 0, "chown");
      set_times(file, seconds, nanoseconds);
    }
  }
  // Mounted again read-only, so that what is compared has been to the disk and back.
  std::map<std::uint64_t, struct statx> seen;
  {
    Mount mount(loop.path(), "ro");
    for (const auto& entry : std::filesystem::recursive_directory_iterator(mount.path())) {
      struct statx found{};
      must(::statx(AT_FDCWD, entry.path().c_str(), AT_SYMLINK_NOFOLLOW, STATX_ALL, &found) == 0, "statx");
      seen.emplace(found.stx_ino, found);
    }
  }
  const Image image(path);
  const Geometry& geometry = image.geometry();
  EXPECT_GT(seen.size(), 40u);
  for (const auto& [ino, found] : seen) {
    SCOPED_TRACE("inode " + std::to_string(ino));
    expect_same(found, image.read(geometry.byte_of(InodeNumber(ino)), geometry.inode_bytes));
  }
}

INSTANTIATE_TEST_SUITE_P(Forms, FormatInode,
                         testing::Values(Case{.name = "Bigtime", .mkfs = {"-m", "bigtime=1"}},
                                         Case{.name = "Legacy", .mkfs = {"-m", "bigtime=0"}},
                                         Case{.name = "Nrext64", .mkfs = {"-i", "nrext64=1,size=1024"}}),
                         [](const auto& instance) { return std::string(instance.param.name); });

}  // namespace
}  // namespace xdax::test
