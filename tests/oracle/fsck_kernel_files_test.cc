// What the kernel writes has no finding: every form of file, directory, attribute and fork, on many geometries.
#include <gtest/gtest.h>
#include <sys/xattr.h>

#include "libfs/format/da_hash.h"
#include "tests/oracle/format_populate.h"
#include "tests/support/loop_device.h"
#include "tests/support/mount.h"
#include "tests/support/oracle.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"
#include "tests/support/xfs_repair.h"

namespace xdax::test {
namespace {

namespace fs = std::filesystem;

struct FilesCase {
  const char* name;
  std::vector<std::string> options;
  std::uint32_t block_bytes = 4096;
  std::uint32_t dir_block_bytes = 4096;
  bool reflink = true;
  bool known_to_xfsprogs = true;  ///< xfsprogs 6.1 knows neither parent pointers nor exchange-range
};

std::ostream& operator<<(std::ostream& stream, const FilesCase& each) { return stream << each.name; }

// Pairs of names with one hash: it is turned by seven bits for each byte, so that a bit of one byte and the third bit
// above it, five bytes on, cancel.
void colliding_names(const fs::path& root) {
  fs::create_directory(root / "collisions");
  for (int i = 0; i < 900; ++i) {
    const std::string one = "name" + std::to_string(1000 + i) + "aaaaaaaa";
    std::string two = one;
    two[8] = static_cast<char>(two[8] ^ 0x01);
    two[13] = static_cast<char>(two[13] ^ 0x08);
    must(name_hash(one) == name_hash(two), "names that do not collide");
    Populate::touch(root / "collisions" / one);
    Populate::touch(root / "collisions" / two);
  }
}

void far_files(const fs::path& root, std::uint32_t block_bytes) {
  const OpenFile file(root / "far", O_RDWR | O_CREAT);
  const off_t last = static_cast<off_t>(0x7fffffffffffffffull - block_bytes) / block_bytes * block_bytes;
  must(::pwrite(file.get(), "end", 3, last) == 3, "write far");
  must(::ftruncate(file.get(), static_cast<off_t>(0x7fffffffffffffffull)) == 0, "truncate far");
  const OpenFile kept(root / "kept_size", O_RDWR | O_CREAT);
  must(::pwrite(kept.get(), "x", 1, 0) == 1, "write");
  must(::fallocate(kept.get(), FALLOC_FL_KEEP_SIZE, 0, off_t{100} * block_bytes) == 0, "keep size");
}

void deep_folders(const fs::path& root) {
  fs::path folder = root / "deep";
  for (int i = 0; i < 120; ++i) {
    folder /= "d" + std::to_string(i);
    fs::create_directories(folder);
  }
  Populate::touch(folder / "bottom");
}

void moved_and_gone(const fs::path& root) {
  fs::create_directories(root / "from/inner");
  fs::create_directory(root / "to");
  for (int i = 0; i < 200; ++i) Populate::touch(root / "from" / ("file" + std::to_string(i)));
  for (int i = 0; i < 200; i += 2) {
    fs::rename(root / "from" / ("file" + std::to_string(i)), root / "to" / ("moved" + std::to_string(i)));
  }
  fs::rename(root / "from/inner", root / "to/inner");
  for (int i = 1; i < 200; i += 4) fs::remove(root / "from" / ("file" + std::to_string(i)));
  const OpenFile unnamed(root, O_TMPFILE | O_RDWR);
  must(::write(unnamed.get(), "gone", 4) == 4, "write to an unnamed file");
}

void access_lists(const fs::path& root) {
  for (int i = 0; i < 60; ++i) {
    const fs::path path = root / ("acl" + std::to_string(i % 3));
    Populate::touch(path);
    (void)run({"setfacl", "-m", "u:" + std::to_string(1000 + i) + ":rw", path.string()});
  }
}

class FsckKernelFiles : public ::testing::TestWithParam<FilesCase> {};

TEST_P(FsckKernelFiles, HasNoFinding) {
  XDAX_NEED_KERNEL_XFS();
  XDAX_NEED_XFSPROGS();
  const FilesCase& each = GetParam();
  const TempDir dir(memory_temp_parent());
  const fs::path image = dir.sparse_file("image", 2ull << 30);
  std::vector<std::string> argv = {program_path("mkfs.xdax"), "-q", "-f"};
  argv.insert(argv.end(), each.options.begin(), each.options.end());
  argv.push_back(image.string());
  run_or_throw(argv);
  {
    const LoopDevice loop(image);
    Mount mount(loop.path());
    const Populate populate(mount.path(), {.block_bytes = each.block_bytes,
                                           .dir_block_bytes = each.dir_block_bytes,
                                           .reflink = each.reflink,
                                           .fragments = 3000,
                                           .inodes = 2000});
    populate.everything();
    colliding_names(mount.path());
    far_files(mount.path(), each.block_bytes);
    deep_folders(mount.path());
    moved_and_gone(mount.path());
    access_lists(mount.path());
    mount.unmount();
  }
  const ProcessResult checked = run({program_path("fsck.xdax"), "-n", "-f", image.string()});
  EXPECT_EQ(checked.exit_status, 0) << checked.describe();
  EXPECT_EQ(checked.out, "");
  if (!each.known_to_xfsprogs) return;
  const RepairVerdict verdict = xfs_repair_check(image);
  EXPECT_TRUE(verdict.clean) << verdict.output;
}

std::string name_of(const ::testing::TestParamInfo<FilesCase>& info) { return info.param.name; }

INSTANTIATE_TEST_SUITE_P(
    All, FsckKernelFiles,
    ::testing::Values(
        FilesCase{"block_1k", {"-b", "size=1024"}, 1024}, FilesCase{"block_4k", {}},
        FilesCase{"dir_8k", {"-n", "size=8192"}, 4096, 8192}, FilesCase{"dir_64k", {"-n", "size=65536"}, 4096, 65536},
        FilesCase{"block_16k", {"-b", "size=16384"}, 16384, 16384},
        FilesCase{"block_64k", {"-b", "size=65536"}, 65536, 65536}, FilesCase{"inode_1024", {"-i", "size=1024"}},
        FilesCase{"inode_2048", {"-i", "size=2048"}}, FilesCase{"no_reverse_map", {"-m", "rmapbt=0"}},
        FilesCase{"no_reflink", {"-m", "reflink=0"}, 4096, 4096, false},
        FilesCase{
            "plain", {"-m", "rmapbt=0,reflink=0,finobt=0,inobtcount=0", "-i", "nrext64=0,sparse=0"}, 4096, 4096, false},
        FilesCase{"many_groups", {"-d", "agcount=40"}},
        FilesCase{"parents", {"-n", "parent=1"}, 4096, 4096, true, false},
        FilesCase{"parents_1k", {"-n", "parent=1", "-b", "size=1024"}, 1024, 4096, true, false},
        FilesCase{"parents_no_reverse_map", {"-n", "parent=1", "-m", "rmapbt=0"}, 4096, 4096, true, false},
        FilesCase{"exchange", {"-i", "exchange=1"}, 4096, 4096, true, false}),
    name_of);

}  // namespace
}  // namespace xdax::test
