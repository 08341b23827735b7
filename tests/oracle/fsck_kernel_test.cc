// What the kernel leaves is clean: images of many geometries, filled in ways that grow every tree, have no finding.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/oracle/fsck_image.h"
#include "tests/support/oracle.h"
#include "tests/support/xfs_repair.h"

namespace xdax::test {
namespace {

using ::testing::HasSubstr;

struct KernelCase {
  const char* name;
  std::vector<std::string> options;
  Filling filling;
  std::uint64_t size_bytes = 400ull << 20;
  std::uint32_t sector_bytes = 512;
};

std::ostream& operator<<(std::ostream& out, const KernelCase& each) { return out << each.name; }

constexpr Filling kMixed = {
    .files = 3000, .file_bytes = 700, .folders = 23, .holes = 1500, .clones = 400, .attributes = 40};
constexpr Filling kNoSharing = {.files = 3000, .file_bytes = 700, .folders = 23, .holes = 1500, .attributes = 40};
constexpr Filling kDense = {.files = 20000, .folders = 3, .holes = 4000, .clones = 2500};
// Files of five blocks fill it and every other one goes: no room is left for whole chunks of eight blocks.
constexpr Filling kFull = {.fill_until_full = 20000};
constexpr std::uint64_t kSmallBytes = 140ull << 20;

const std::vector<KernelCase> kCases = {
    {"default", {}, kMixed},
    {"rmapbt", {"-m", "rmapbt=1"}, kMixed},
    {"block_1k", {"-b", "size=1024", "-m", "rmapbt=1"}, kMixed},
    {"block_1k_dense", {"-b", "size=1024", "-m", "rmapbt=1", "-d", "agcount=4"}, kDense},
    {"block_2k", {"-b", "size=2048"}, kMixed},
    {"block_16k", {"-b", "size=16384", "-m", "rmapbt=1"}, kMixed, 1200ull << 20},
    {"block_64k",
     {"-b", "size=65536", "-m", "rmapbt=1"},
     {.files = 3000, .file_bytes = 700, .folders = 23, .holes = 200, .clones = 60},
     2000ull << 20},
    {"no_reflink", {"-m", "reflink=0"}, kNoSharing},
    {"rmapbt_no_reflink", {"-m", "reflink=0,rmapbt=1"}, kNoSharing},
    {"no_finobt", {"-m", "finobt=0,rmapbt=1,inobtcount=0"}, kMixed},
    {"no_inobtcount", {"-m", "inobtcount=0,rmapbt=1"}, kMixed},
    {"no_bigtime", {"-m", "bigtime=0,rmapbt=1"}, kMixed},
    {"no_sparse", {"-i", "sparse=0", "-m", "rmapbt=1"}, kMixed},
    {"nrext64", {"-i", "nrext64=1", "-m", "rmapbt=1"}, kMixed},
    {"inode_2k", {"-i", "size=2048", "-m", "rmapbt=1"}, kMixed},
    {"stripe", {"-d", "su=64k,sw=4", "-m", "rmapbt=1"}, kMixed, 700ull << 20},
    {"sector_4k", {"-s", "size=4096", "-m", "rmapbt=1"}, kMixed, 400ull << 20, 4096},
    {"many_groups", {"-d", "agcount=20", "-m", "rmapbt=1"}, kMixed},
    {"full_sparse", {"-m", "rmapbt=1", "-d", "agcount=4"}, kFull, kSmallBytes},
    {"full_sparse_1k", {"-b", "size=1024", "-d", "agcount=4"}, {.fill_until_full = 5000}, kSmallBytes},
    {"full_not_sparse", {"-i", "sparse=0", "-m", "rmapbt=1"}, kFull, kSmallBytes},
};

class FsckKernel : public ::testing::TestWithParam<KernelCase> {};

TEST_P(FsckKernel, FilledImageHasNoFinding) {
  XDAX_NEED_KERNEL_XFS();
  XDAX_NEED_XFSPROGS();
  const KernelCase& each = GetParam();
  const TempDir dir(memory_temp_parent());
  const std::filesystem::path image = dir.sparse_file("image", each.size_bytes);
  make_kernel_image(image, each.options, each.filling);

  const ProcessResult quiet = run({program_path("fsck.xdax"), "-n", image});
  EXPECT_EQ(quiet.exit_status, 0) << quiet.describe();
  EXPECT_EQ(quiet.out, "");
  EXPECT_EQ(quiet.err, "");

  const ProcessResult verbose = run({program_path("fsck.xdax"), "-n", "-f", "-v", "--threads", "3", image});
  EXPECT_EQ(verbose.exit_status, 0) << verbose.describe();
  EXPECT_THAT(verbose.out, HasSubstr("the log is clean"));
  EXPECT_THAT(verbose.out, HasSubstr("no problems found"));

  const ProcessResult json = run({program_path("fsck.xdax"), "-n", "--json", image});
  const auto parsed = nlohmann::json::parse(json.out);
  EXPECT_EQ(parsed["exit_status"], 0);
  EXPECT_TRUE(parsed["findings"].empty());
  EXPECT_TRUE(parsed["skipped"].empty());
  EXPECT_EQ(parsed["groups_checked"], parsed["filesystem"]["group_count"]);
}

INSTANTIATE_TEST_SUITE_P(All, FsckKernel, ::testing::ValuesIn(kCases),
                         [](const auto& each) { return std::string(each.param.name); });

// The tests above are only worth something when the images have what they are meant to have.
TEST(FsckKernelImages, FullImageHasSparseChunks) {
  XDAX_NEED_KERNEL_XFS();
  XDAX_NEED_XFSPROGS();
  const TempDir dir(memory_temp_parent());
  const std::filesystem::path image = dir.sparse_file("image", kSmallBytes);
  make_kernel_image(image, {"-m", "rmapbt=1", "-d", "agcount=4"}, kFull);
  const auto device = open_device(image.string(), {.mode = OpenMode::kRead});
  ImageEditor editor(*device);
  unsigned sparse = 0;
  for (std::uint32_t ag = 0; ag < 4; ++ag) {
    const std::vector<AgBlock> leaves = editor.levels(BtreeKind::kInobt, ag).back();
    for (const AgBlock leaf : leaves) {
      for (const InodeChunkRecord& record : editor.records<InodeChunkRecord>(ag, leaf))
        sparse += record.sparse.holemask != 0 ? 1 : 0;
    }
  }
  EXPECT_GT(sparse, 0u);
}

TEST(FsckKernelLife, StaysCleanThroughGrowthRelabelAndRecovery) {
  XDAX_NEED_KERNEL_XFS();
  XDAX_NEED_XFSPROGS();
  const TempDir dir(memory_temp_parent());
  const std::filesystem::path image = dir.sparse_file("image", 400ull << 20);
  const auto expect_clean = [&](const char* when) {
    const ProcessResult checked = run({program_path("fsck.xdax"), "-n", image});
    EXPECT_EQ(checked.exit_status, 0) << when << ": " << checked.describe();
    EXPECT_EQ(checked.out, "") << when;
  };
  make_kernel_image(image, {"-m", "rmapbt=1"}, kMixed, Leave::kShutDownFlushed);
  EXPECT_EQ(run({program_path("fsck.xdax"), "-n", image}).exit_status, 4);
  {
    LoopDevice loop(image);
    Mount mount(loop.path());
  }
  expect_clean("recovered");
  std::filesystem::resize_file(image, 700ull << 20);
  {
    LoopDevice loop(image);
    Mount mount(loop.path());
    run_or_throw({"xfs_growfs", "-d", mount.path().string()});
    write_file(mount.path("after"), "growth");
  }
  expect_clean("grown");
  run_or_throw({"xfs_admin", "-L", "label", image});
  expect_clean("relabelled");
  run_or_throw({"xfs_admin", "-U", "generate", image});
  expect_clean("with a new uuid");
  make_kernel_image(image, {"-m", "rmapbt=1"}, kMixed, Leave::kShutDown);
  (void)run({"xfs_repair", "-L", image});
  expect_clean("repaired with an empty log");
  std::filesystem::resize_file(image, 0);
  std::filesystem::resize_file(image, 700ull << 20);
  make_kernel_image(image, {"-m", "rmapbt=1", "-d", "su=32k,sw=2,agsize=100m"}, kMixed);
  {
    LoopDevice loop(image);
    Mount mount(loop.path(), "sunit=64,swidth=256");
    write_file(mount.path("striped"), std::string(1 << 20, 's'));
  }
  expect_clean("mounted with a stripe");
}

TEST(FsckKernelMounted, IsLookedAtWithAWarningAndRefusedOtherwise) {
  XDAX_NEED_KERNEL_XFS();
  XDAX_NEED_XFSPROGS();
  const TempDir dir(memory_temp_parent());
  const std::filesystem::path image = dir.sparse_file("image", 400ull << 20);
  run_or_throw({"mkfs.xfs", "-q", image});
  LoopDevice loop(image);
  EXPECT_EQ(run({program_path("fsck.xdax"), "-f", loop.path()}).exit_status, 0);
  Mount mount(loop.path());
  for (const std::string& path : {loop.path(), image.string()}) {
    for (const char* option : {"-f", "-y", "-a"}) {
      const ProcessResult refused = run({program_path("fsck.xdax"), option, path});
      EXPECT_EQ(refused.exit_status, 8) << refused.describe();
      EXPECT_EQ(std::count(refused.err.begin(), refused.err.end(), '\n'), 1) << refused.err;
    }
    const ProcessResult looked = run({program_path("fsck.xdax"), "-n", path});
    EXPECT_THAT(looked.err, HasSubstr("warning"));
    EXPECT_NE(looked.exit_status, 8) << looked.describe();
  }
  mount.unmount();
  EXPECT_EQ(run({program_path("fsck.xdax"), "-n", loop.path()}).exit_status, 0);
}

}  // namespace
}  // namespace xdax::test
