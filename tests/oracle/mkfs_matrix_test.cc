// Every option set of the matrix: geometry as mkfs.xfs makes it, xfs_repair and fsck.xdax content, and the kernel
// mounts it, writes, and leaves it clean.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/statvfs.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "tests/support/loop_device.h"
#include "tests/support/mkfs_cases.h"
#include "tests/support/mount.h"
#include "tests/support/oracle.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"
#include "tests/support/xfs_db.h"
#include "tests/support/xfs_repair.h"

namespace xdax::test {
namespace {

namespace fs = std::filesystem;

using Argv = std::vector<std::string>;

Argv with(Argv argv, const Argv& more) {
  argv.insert(argv.end(), more.begin(), more.end());
  return argv;
}

class MkfsMatrix : public ::testing::TestWithParam<MkfsCase> {
 protected:
  MkfsMatrix() : dir_(memory_temp_parent()), image_(dir_.sparse_file("own.img", GetParam().size_bytes)) {}

  void format() {
    const MkfsCase& each = GetParam();
    const ProcessResult made = run(
        with(with({program_path("mkfs.xdax"), "--allow-tiny", "-q"}, with(each.options, each.own_options)), {image_}));
    ASSERT_TRUE(made.ok()) << made.describe();
    EXPECT_EQ(made.out, "");
  }

  void expect_fsck_clean(const char* when) const {
    const ProcessResult checked = run({program_path("fsck.xdax"), "-n", "-f", image_});
    EXPECT_EQ(checked.exit_status, 0) << when << ": " << checked.describe();
    EXPECT_EQ(checked.out, "") << when;
  }
  void expect_repair_clean(const char* when) const {
    const RepairVerdict verdict = xfs_repair_check(image_);
    EXPECT_TRUE(verdict.clean) << when << ": " << verdict.output;
  }

  TempDir dir_;
  fs::path image_;
};

class MkfsGeometry : public MkfsMatrix {};
class MkfsEmpty : public MkfsMatrix {};
class MkfsKernel : public MkfsMatrix {};

// What may differ: identity, times and what follows from them.
const std::set<std::string> kNotCompared = {"uuid", "crc", "lsn", "meta_uuid"};

void expect_same_fields(const fs::path& own, const fs::path& theirs, const std::vector<std::string>& commands) {
  const XfsDbOutput mine = xfs_db(own, commands);
  const XfsDbOutput reference = xfs_db(theirs, commands);
  ASSERT_FALSE(reference.fields.empty());
  for (const auto& [name, value] : reference.fields) {
    if (kNotCompared.contains(name)) continue;
    const auto found = mine.fields.find(name);
    ASSERT_NE(found, mine.fields.end()) << commands[0] << ": " << name;
    EXPECT_EQ(found->second, value) << commands[0] << ": " << name;
  }
  EXPECT_EQ(mine.fields.size(), reference.fields.size()) << commands[0];
}

TEST_P(MkfsGeometry, IsThatOfMkfsXfs) {
  XDAX_NEED_XFSPROGS();
  const MkfsCase& each = GetParam();
  ASSERT_NO_FATAL_FAILURE(format());
  const fs::path reference = dir_.sparse_file("reference.img", each.size_bytes);
  run_or_throw(with(with({"mkfs.xfs", "--unsupported", "-q"}, each.options), {reference}));

  expect_same_fields(image_, reference, {"sb 0", "print"});
  const std::uint64_t groups = xfs_db(reference, {"sb 0", "print agcount"}).number("agcount");
  for (const std::uint64_t ag : std::set<std::uint64_t>{0, 1 % groups, groups / 2, groups - 1}) {
    const std::string number = std::to_string(ag);
    expect_same_fields(image_, reference, {"agf " + number, "print"});
    expect_same_fields(image_, reference, {"agi " + number, "print"});
    expect_same_fields(image_, reference, {"agf " + number, "addr bnoroot", "print"});
    expect_same_fields(image_, reference, {"agi " + number, "addr root", "print"});
  }
  if (groups <= 16) {
    EXPECT_EQ(xfs_db(image_, {"freesp -d"}).text, xfs_db(reference, {"freesp -d"}).text);
  }
  for (const char* field :
       {"core.mode", "core.format", "core.nlinkv2", "core.size", "core.extsize", "core.projid_lo", "core.projid_hi",
        "core.extszinherit", "core.projinherit", "v3.flags2", "v3.cowextsize", "u3.sfdir3.hdr.parent.i4"}) {
    const std::vector<std::string> commands = {"sb 0", "addr rootino", std::string("print ") + field};
    EXPECT_EQ(xfs_db(image_, commands).text, xfs_db(reference, commands).text) << field;
  }
}

TEST_P(MkfsEmpty, ImageIsClean) {
  XDAX_NEED_XFSPROGS();
  ASSERT_NO_FATAL_FAILURE(format());
  expect_fsck_clean("empty");
  // xfsprogs 6.1 refuses features it does not know; the kernel judges those in the next test.
  if (GetParam().judge != Judge::kOnlyKernel) expect_repair_clean("empty");
}

// Directories, small files, a large one, links: enough to allocate inodes and blocks in several groups.
void write_files(const fs::path& root) {
  struct statvfs free{};
  ASSERT_EQ(statvfs(root.c_str(), &free), 0);
  const std::uint64_t free_bytes = free.f_bavail * free.f_frsize;
  const int files = free_bytes < (16u << 20) ? 20 : 300;
  for (int i = 0; i < files; ++i) {
    const fs::path folder = root / ("folder" + std::to_string(i % 7));
    fs::create_directories(folder);
    std::ofstream(folder / ("file" + std::to_string(i))) << std::string(static_cast<std::size_t>(i) * 37, 'x');
  }
  std::ofstream(root / "large") << std::string(std::min<std::uint64_t>(free_bytes / 4, 8u << 20), 'y');
  fs::create_symlink("large", root / "symlink");
  fs::create_hard_link(root / "large", root / "hardlink");
  for (int i = 0; i < files; i += 3)
    fs::remove(root / ("folder" + std::to_string(i % 7)) / ("file" + std::to_string(i)));
}

TEST_P(MkfsKernel, MountsWritesAndLeavesItClean) {
  XDAX_NEED_KERNEL_XFS();
  const MkfsCase& each = GetParam();
  ASSERT_NO_FATAL_FAILURE(format());
  {
    const LoopDevice loop(image_, {.sector_bytes = each.loop_sector_bytes});
    Mount mount(loop.path());
    ASSERT_NO_FATAL_FAILURE(write_files(mount.path()));
    mount.unmount();
  }
  expect_fsck_clean("after the kernel");
  if (each.judge != Judge::kOnlyKernel) expect_repair_clean("after the kernel");
  const LoopDevice loop(image_, {.sector_bytes = each.loop_sector_bytes});
  const Mount again(loop.path(), "ro");
  EXPECT_GT(fs::file_size(again.path("hardlink")), 0u);
}

std::vector<MkfsCase> cases_without(Judge judge) {
  std::vector<MkfsCase> cases = mkfs_matrix();
  std::erase_if(cases, [judge](const MkfsCase& each) { return each.judge == judge; });
  return cases;
}
std::string name_of(const ::testing::TestParamInfo<MkfsCase>& info) { return info.param.name; }

// xfsprogs 6.1 knows neither parent pointers nor exchange-range: those cases are the kernel's. The kernel here knows no
// ascii-ci: that one is for xfsprogs.
INSTANTIATE_TEST_SUITE_P(Matrix, MkfsGeometry, ::testing::ValuesIn(cases_without(Judge::kOnlyKernel)), name_of);
INSTANTIATE_TEST_SUITE_P(Matrix, MkfsEmpty, ::testing::ValuesIn(mkfs_matrix()), name_of);
INSTANTIATE_TEST_SUITE_P(Matrix, MkfsKernel, ::testing::ValuesIn(cases_without(Judge::kNoKernel)), name_of);

TEST(MkfsMatrixSize, HasAtLeastSixtyOptionSets) { EXPECT_GE(mkfs_matrix().size(), 60u); }

}  // namespace
}  // namespace xdax::test
