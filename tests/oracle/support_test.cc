// The oracles themselves: that they are reached, that they tell good from bad, and that our checksum is theirs.

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <span>

#include "libfs/base/crc32c.h"
#include "tests/support/loop_device.h"
#include "tests/support/mount.h"
#include "tests/support/oracle.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"
#include "tests/support/xfs_db.h"
#include "tests/support/xfs_repair.h"

namespace xdax::test {
namespace {

constexpr std::uint64_t kImageBytes = 300u << 20;
constexpr std::uint64_t kAgfBytes = 512;

std::filesystem::path xfs_image(const TempDir& folder) {
  const auto image = folder.sparse_file("image", kImageBytes);
  run_or_throw({"mkfs.xfs", "-q", image.string()});
  return image;
}

TEST(Oracle, XfsDbReadsASuperblock) {
  XDAX_NEED_XFSPROGS();
  const TempDir folder(memory_temp_parent());
  const XfsDbOutput output = xfs_db(xfs_image(folder), {"sb 0", "print"});
  EXPECT_EQ(output.number("magicnum"), 0x58465342u);
  EXPECT_EQ(output.number("dblocks"), kImageBytes / output.number("blocksize"));
  EXPECT_NE(output.at("crc").find("(correct)"), std::string::npos);
}

TEST(Oracle, OurChecksumIsTheirs) {
  XDAX_NEED_XFSPROGS();
  const TempDir folder(memory_temp_parent());
  const auto image = xfs_image(folder);
  const std::string superblock = read_bytes(image, 0, 512);
  const std::string agf = read_bytes(image, kAgfBytes, 512);
  // xfs_db shows the four bytes in the order in which they lie.
  const auto seen = [&](const char* where) {
    return __builtin_bswap32(static_cast<std::uint32_t>(xfs_db(image, {where, "print"}).number("crc")));
  };
  EXPECT_EQ(structure_checksum(std::as_bytes(std::span(superblock)), 224), seen("sb 0"));
  EXPECT_EQ(structure_checksum(std::as_bytes(std::span(agf)), 216), seen("agf 0"));
}

TEST(Oracle, XfsRepairTellsGoodFromBad) {
  XDAX_NEED_XFSPROGS();
  const TempDir folder(memory_temp_parent());
  const auto image = xfs_image(folder);
  const RepairVerdict good = xfs_repair_check(image);
  EXPECT_TRUE(good.clean) << good.output;
  xfs_db_write(image, {"agf 0", "write -d freeblks 7"});
  const RepairVerdict bad = xfs_repair_check(image);
  EXPECT_FALSE(bad.clean) << bad.output;
  EXPECT_EQ(bad.exit_status, 1) << bad.output;
}

TEST(Oracle, XfsRepairJudgesASingleGroup) {
  XDAX_NEED_XFSPROGS();
  const TempDir folder(memory_temp_parent());
  const auto image = folder.sparse_file("image", kImageBytes);
  run_or_throw({"mkfs.xfs", "-q", "--unsupported", "-d", "agcount=1", image.string()});
  const RepairVerdict good = xfs_repair_check(image);
  EXPECT_TRUE(good.clean) << good.output;
  xfs_db_write(image, {"agf 0", "write -d freeblks 7"});
  EXPECT_FALSE(xfs_repair_check(image).clean);
}

class OracleLoop : public testing::TestWithParam<std::uint32_t> {};

TEST_P(OracleLoop, HasTheSectorSizeAskedFor) {
  XDAX_NEED_ROOT_AND_LOOP();
  const TempDir folder;
  LoopDevice device(folder.sparse_file("image", kImageBytes), {.sector_bytes = GetParam()});
  EXPECT_EQ(run_or_throw({"blockdev", "--getss", device.path()}).out, std::to_string(GetParam()) + "\n");
  device.detach();
}
INSTANTIATE_TEST_SUITE_P(Sectors, OracleLoop, testing::Values(512, 1024, 2048, 4096));

// As at a timeout of ctest: no destructor runs.
TEST(Oracle, ALoopDeviceGoesWithItsProcess) {
  XDAX_NEED_ROOT_AND_LOOP();
  const TempDir folder;
  const auto image = folder.sparse_file("image", 1u << 20);
  const pid_t child = ::fork();
  if (child == 0) {
    const LoopDevice device(image);
    ::raise(SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(run_or_throw({"losetup", "-n", "-O", "NAME", "-j", image.string()}).out, "");
}

TEST(Oracle, TheKernelMountsAndKeepsAFile) {
  XDAX_NEED_KERNEL_XFS();
  XDAX_NEED_XFSPROGS();
  const TempDir folder;
  const auto image = xfs_image(folder);
  {
    const LoopDevice device(image);
    Mount mount(device.path());
    std::ofstream(mount.path("file")) << "kept";
    mount.unmount();
    const Mount again(device.path(), "ro");
    std::string word;
    std::ifstream(again.path("file")) >> word;
    EXPECT_EQ(word, "kept");
    EXPECT_THROW(Mount(device.path(), "no_such_option"), std::runtime_error);
  }
  EXPECT_TRUE(xfs_repair_check(image).clean);
}

TEST(Oracle, AShutDownLeavesADirtyLog) {
  XDAX_NEED_KERNEL_XFS();
  XDAX_NEED_XFSPROGS();
  const TempDir folder;
  const auto image = xfs_image(folder);
  {
    const LoopDevice device(image);
    Mount mount(device.path());
    std::ofstream(mount.path("file")) << "in the log";
    mount.shut_down(true);
  }
  const RepairVerdict dirty = xfs_repair_check(image);
  EXPECT_NE(dirty.output.find("log"), std::string::npos) << dirty.output;
  {
    const LoopDevice device(image);
    const Mount mount(device.path());
    EXPECT_TRUE(std::filesystem::exists(mount.path("file")));
  }
  EXPECT_TRUE(xfs_repair_check(image).clean);
}

}  // namespace
}  // namespace xdax::test
