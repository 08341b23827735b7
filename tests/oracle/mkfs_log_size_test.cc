// The smallest log: what mkfs.xfs demands over random geometries, and what the kernel still mounts.
#include <gtest/gtest.h>

#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <random>

#include "libfs/format/log_limits.h"
#include "libfs/format/superblock.h"
#include "tests/support/loop_device.h"
#include "tests/support/mount.h"
#include "tests/support/oracle.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace xdax::test {
namespace {

namespace fs = std::filesystem;
constexpr std::uint64_t kMiB = 1ull << 20;

std::uint64_t demanded_by_mkfs_xfs(const std::vector<std::string>& options, std::uint64_t log_blocks,
                                   const fs::path& image) {
  std::vector<std::string> argv = {"mkfs.xfs", "--unsupported", "-N"};
  argv.insert(argv.end(), options.begin(), options.end());
  argv.insert(argv.end(), {"-l", fmt::format("size={}b", log_blocks), image.string()});
  const ProcessResult result = run(argv);
  constexpr std::string_view kPhrase = "minimum size is ";
  const auto at = result.err.find(kPhrase);
  return at == std::string::npos ? 0 : std::stoull(result.err.substr(at + kPhrase.size()));
}

std::uint64_t demanded_by_mkfs_xdax(const std::vector<std::string>& options, std::uint64_t log_blocks,
                                    const fs::path& image) {
  std::vector<std::string> argv = {program_path("mkfs.xdax"), "--allow-tiny", "-N"};
  argv.insert(argv.end(), options.begin(), options.end());
  argv.insert(argv.end(), {"-l", fmt::format("size={}b", log_blocks), image.string()});
  const ProcessResult result = run(argv);
  constexpr std::string_view kPhrase = "needs at least ";
  const auto at = result.err.find(kPhrase);
  return at == std::string::npos ? 0 : std::stoull(result.err.substr(at + kPhrase.size()));
}

TEST(SmallestLog, IsWhatMkfsXfsDemands) {
  XDAX_NEED_XFSPROGS();
  const TempDir dir(memory_temp_parent());
  std::mt19937_64 random(20261123);
  const auto pick = [&](std::initializer_list<std::uint64_t> from) {
    return *(from.begin() + static_cast<std::ptrdiff_t>(random() % from.size()));
  };
  int compared = 0;
  for (int i = 0; i < 200; ++i) {
    const std::uint64_t block = pick({1024, 2048, 4096, 8192, 16384, 32768, 65536});
    const std::uint64_t inode = std::min(pick({512, 1024, 2048}), block / 2);
    const std::uint64_t sector = std::min(pick({512, 512, 4096}), block);
    const std::uint64_t directory = std::max(pick({4096, 65536}), block);
    const std::uint64_t finobt = pick({0, 1});
    // Below 1 GiB: from there on, both demand 10 MiB whatever transactions need.
    const fs::path image = dir.sparse_file("image", pick({300, 700, 1000}) * kMiB);
    std::vector<std::string> options = {
        "-b", fmt::format("size={}", block),
        "-i", fmt::format("size={},nrext64={}", inode, pick({0, 1})),
        "-s", fmt::format("size={}", sector),
        "-n", fmt::format("size={}", directory),
        "-m", fmt::format("finobt={0},inobtcount={0},rmapbt={1},reflink={2}", finobt, pick({0, 1}), pick({0, 1}))};
    const std::uint64_t stripe = pick({0, 0, block, 32768, 262144});
    std::uint64_t log_blocks = 513;
    if (stripe >= block) {
      options.insert(options.end(), {"-l", fmt::format("su={}", stripe)});
      log_blocks = 512 + stripe / block - 512 % (stripe / block);
    }
    const std::uint64_t theirs = demanded_by_mkfs_xfs(options, log_blocks, image);
    if (theirs == 0) continue;  // 513 blocks are enough, or something else is refused first
    ++compared;
    EXPECT_EQ(demanded_by_mkfs_xdax(options, log_blocks, image), theirs) << fmt::format("{}", fmt::join(options, " "));
  }
  EXPECT_GT(compared, 60);
}

struct KernelCase {
  const char* name;
  std::vector<std::string> options;
};
std::ostream& operator<<(std::ostream& stream, const KernelCase& each) { return stream << each.name; }

class SmallestLogMounts : public ::testing::TestWithParam<KernelCase> {};

// The kernel computes its own minimum and refuses the mount below it, so a mount is the proof. The first attempt, one
// block too short, learns the minimum from our own refusal.
TEST_P(SmallestLogMounts, InTheKernel) {
  XDAX_NEED_KERNEL_XFS();
  const TempDir dir(memory_temp_parent());
  const fs::path image = dir.sparse_file("image", 900 * kMiB);
  const std::uint64_t least = demanded_by_mkfs_xdax(GetParam().options, 512, image);
  const std::uint64_t blocks = least == 0 ? 512 : least;
  std::vector<std::string> argv = {program_path("mkfs.xdax"), "--allow-tiny", "-q"};
  argv.insert(argv.end(), GetParam().options.begin(), GetParam().options.end());
  argv.insert(argv.end(), {"-l", fmt::format("size={}b", blocks), image.string()});
  const ProcessResult made = run(argv);
  ASSERT_TRUE(made.ok()) << made.describe();
  const LoopDevice loop(image);
  Mount mount(loop.path());
  std::ofstream(mount.path("file")) << "written";
  mount.unmount();
}

INSTANTIATE_TEST_SUITE_P(
    Features, SmallestLogMounts,
    ::testing::Values(KernelCase{"defaults", {}}, KernelCase{"block_1024", {"-b", "size=1024"}},
                      KernelCase{"block_65536", {"-b", "size=65536"}}, KernelCase{"block_16384", {"-b", "size=16384"}},
                      KernelCase{"plain", {"-m", "rmapbt=0,reflink=0,finobt=0"}},
                      KernelCase{"rmapbt_only", {"-m", "reflink=0"}}, KernelCase{"reflink_only", {"-m", "rmapbt=0"}},
                      KernelCase{"parent", {"-n", "parent=1"}}, KernelCase{"exchange", {"-i", "exchange=1"}},
                      KernelCase{"parent_exchange_1024", {"-n", "parent=1", "-i", "exchange=1", "-b", "size=1024"}},
                      KernelCase{"parent_plain", {"-n", "parent=1", "-m", "rmapbt=0,reflink=0"}},
                      KernelCase{"parent_plain_64k_names", {"-n", "parent=1,size=65536", "-m", "rmapbt=0,reflink=0"}},
                      KernelCase{"parent_plain_block_65536",
                                 {"-n", "parent=1", "-m", "rmapbt=0,reflink=0", "-b", "size=65536"}},
                      KernelCase{"inode_2048", {"-i", "size=2048"}}, KernelCase{"names_65536", {"-n", "size=65536"}},
                      KernelCase{"plain_names_65536", {"-n", "size=65536", "-m", "rmapbt=0,reflink=0"}},
                      KernelCase{"sector_4096", {"-s", "size=4096"}}),
    [](const ::testing::TestParamInfo<KernelCase>& each) { return std::string(each.param.name); });

}  // namespace
}  // namespace xdax::test
