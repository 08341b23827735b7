// Every structure that mkfs.xfs and the kernel write is flawless to our verifiers, and damaged it is not.

#include <gtest/gtest.h>

#include <memory>
#include <ostream>
#include <random>
#include <string>
#include <vector>

#include "tests/oracle/format_populate.h"
#include "tests/oracle/format_walker.h"
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
  PopulateOptions populate = {};
  std::uint32_t sector_bytes = 512;
  std::uint64_t size_bytes = 512ull << 20;
  std::vector<std::string> more_kinds = {};
  /// Whether a symbolic link can be too long for an inode.
  bool remote_symlinks = true;
};

// What every image must have shown, so that a verifier that was never called cannot pass.
const std::vector<std::string> kKindsOfAll = {
    "superblock",        "agf",          "agi",         "agfl",          "bnobt leaf",    "cntbt leaf",
    "inobt leaf",        "inode",        "free inode",  "bmapbt leaf",   "dir shortform", "dir block",
    "dir data",          "dir leaf1",    "dir leafn",   "dir free",      "dir da node",   "attr shortform",
    "attr leaf",         "attr da node", "attr remote", "symlink local", "device inode",  "unwritten extent",
    "data fork as btree"};

const std::vector<Case> kCases = {
    {.name = "Default",
     .mkfs = {"-m", "rmapbt=1,reflink=1"},
     .populate = {.fragments = 14000},
     .more_kinds = {"finobt leaf", "rmapbt leaf", "refcountbt leaf", "shared record", "reflink inode", "bmapbt node",
                    "rmapbt node", "refcountbt node", "bnobt node", "cntbt node", "bigtime inode"}},
    {.name = "Block1K",
     .mkfs = {"-b", "size=1024", "-m", "rmapbt=1", "-i", "nrext64=1"},
     .populate = {.block_bytes = 1024},
     .more_kinds = {"nrext64 inode", "bmapbt node", "rmapbt node", "refcountbt node", "inobt node", "bnobt node",
                    "attr fork as btree"}},
    {.name = "Block1KDir8K",
     .mkfs = {"-b", "size=1024", "-n", "size=8192"},
     .populate = {.block_bytes = 1024, .dir_block_bytes = 8192, .fragments = 1500},
     .more_kinds = {"inobt node", "attr fork as btree"}},
    {.name = "Block16K",
     .mkfs = {"-b", "size=16384", "-m", "rmapbt=1", "-i", "size=1024,nrext64=1"},
     .populate = {.block_bytes = 16384, .dir_block_bytes = 16384, .fragments = 3000},
     .size_bytes = 1ull << 30,
     .more_kinds = {"rmapbt node", "refcountbt node"}},
    {.name = "Block64K",
     .mkfs = {"-b", "size=65536", "-m", "rmapbt=1"},
     .populate = {.block_bytes = 65536, .dir_block_bytes = 65536, .fragments = 1500},
     .size_bytes = 2ull << 30},
    {.name = "Inode2KOldFeatures",
     .mkfs = {"-i", "size=2048,sparse=0", "-m", "finobt=0,reflink=0,bigtime=0", "-n", "size=65536"},
     .populate = {.dir_block_bytes = 65536, .reflink = false},
     .remote_symlinks = false},
    {.name = "Sector4K",
     .mkfs = {"-s", "size=4096", "-i", "size=1024"},
     .populate = {.fragments = 2000},
     .sector_bytes = 4096,
     .more_kinds = {"finobt leaf"}},
};

std::ostream& operator<<(std::ostream& out, const Case& test_case) { return out << test_case.name; }

class FormatStructures : public testing::TestWithParam<Case> {};

void flip(Bytes& bytes, std::uint64_t bit) { bytes[bit / 8] ^= std::byte{1} << (bit % 8); }

// One bit, then a few, anywhere in the structure.
void damage(const Sample& sample, std::mt19937_64& random) {
  std::uniform_int_distribution<std::uint64_t> any(0, sample.bytes.size() * 8 - 1);
  for (int round = 0; round < 64; ++round) {
    Bytes bytes = sample.bytes;
    std::string bits;
    for (int i = 0; i <= round % 4; ++i) {
      const std::uint64_t bit = any(random);
      flip(bytes, bit);
      bits += std::to_string(bit) + " ";
    }
    if (bytes == sample.bytes) continue;
    EXPECT_FALSE(sample.verify(bytes).empty()) << sample.kind << " with bits turned: " << bits;
  }
}

void expect_flawless(const std::filesystem::path& path, const std::vector<std::string>& kinds) {
  const Image image(path);
  Walker walker(image);
  walker.walk();
  for (const std::string& problem : walker.problems()) ADD_FAILURE() << problem;
  for (const std::string& kind : kinds) {
    EXPECT_TRUE(walker.census().contains(kind)) << "no " << kind << " among\n" << walker.describe_census();
  }
  constexpr std::uint64_t kSeed = 20150803;
  std::mt19937_64 random(kSeed);
  for (const Sample& sample : walker.samples()) damage(sample, random);
}

void make_image(const Case& test_case, const std::string& device_or_image) {
  std::vector<std::string> argv{"mkfs.xfs", "-q", "-f"};
  argv.insert(argv.end(), test_case.mkfs.begin(), test_case.mkfs.end());
  argv.push_back(device_or_image);
  run_or_throw(argv);
}

TEST_P(FormatStructures, WrittenByKernelAreFlawlessAndDamagedAreNot) {
  XDAX_NEED_KERNEL_XFS();
  XDAX_NEED_XFSPROGS();
  const TempDir temp(memory_temp_parent());
  const auto path = temp.sparse_file("image", GetParam().size_bytes);
  {
    LoopDevice loop(path, {.sector_bytes = GetParam().sector_bytes});
    make_image(GetParam(), loop.path());
    Mount mount(loop.path());
    Populate(mount.path(), GetParam().populate).everything();
  }
  std::vector<std::string> kinds = kKindsOfAll;
  kinds.insert(kinds.end(), GetParam().more_kinds.begin(), GetParam().more_kinds.end());
  if (GetParam().remote_symlinks) kinds.insert(kinds.end(), {"symlink remote", "symlink block"});
  expect_flawless(path, kinds);
}

INSTANTIATE_TEST_SUITE_P(Geometries, FormatStructures, testing::ValuesIn(kCases),
                         [](const auto& instance) { return std::string(instance.param.name); });

// A filesystem as mkfs.xfs leaves it, without a kernel.
TEST(FormatFresh, WrittenByMkfsAreFlawless) {
  XDAX_NEED_XFSPROGS();
  for (const Case& test_case : kCases) {
    SCOPED_TRACE(test_case.name);
    const TempDir temp(memory_temp_parent());
    const auto path = temp.sparse_file("image", test_case.size_bytes);
    make_image(test_case, path.string());
    expect_flawless(path, {"superblock", "agf", "agi", "agfl", "inode", "free inode", "dir shortform"});
  }
}

// Another uuid for the user, the old one in all metadata.
TEST(FormatFresh, MetaUuidIsFollowed) {
  XDAX_NEED_XFSPROGS();
  const TempDir temp(memory_temp_parent());
  const auto path = temp.sparse_file("image", kCases[0].size_bytes);
  make_image(kCases[0], path.string());
  run_or_throw({"xfs_admin", "-U", "01234567-89ab-cdef-0123-456789abcdef", path.string()});
  const Image image(path);
  EXPECT_TRUE(image.geometry().features.metauuid());
  EXPECT_NE(image.geometry().uuid, image.geometry().user_uuid);
  expect_flawless(path, {"superblock", "agf", "inode"});
}

// Names that ignore case: mkfs.xfs makes the directories from a prototype, hashed its way.
TEST(FormatFresh, AsciiCaseInsensitiveNamesAreHashedAlike) {
  XDAX_NEED_XFSPROGS();
  const TempDir temp(memory_temp_parent());
  const auto path = temp.sparse_file("image", kCases[0].size_bytes);
  std::string prototype = "/\n0 0\nd--755 0 0\n";
  for (const auto& [folder, count] : {std::pair{"Block", 25}, std::pair{"LEAF", 200}, std::pair{"node", 1400}}) {
    prototype += std::string(folder) + " d--755 0 0\n";
    for (int i = 0; i < count; ++i) prototype += "NaMe_" + std::to_string(i) + "_ABCxyz p--644 0 0\n";
    prototype += "$\n";
  }
  prototype += "$\n";
  const auto prototype_path = temp.sparse_file("prototype", prototype.size());
  overwrite(prototype_path, 0, prototype);
  run_or_throw({"mkfs.xfs", "-q", "-n", "version=ci", "-p", prototype_path.string(), path.string()});
  EXPECT_TRUE(Image(path).geometry().features.ascii_ci());
  expect_flawless(path, {"dir block", "dir leaf1", "dir leafn", "dir free", "device inode"});
}

// Frozen with files that are open and have no name: inodes without links, and lists of them.
TEST(FormatFrozen, UnlinkedInodesAreFlawless) {
  XDAX_NEED_KERNEL_XFS();
  XDAX_NEED_XFSPROGS();
  const TempDir temp(memory_temp_parent());
  const auto path = temp.sparse_file("image", kCases[0].size_bytes);
  LoopDevice loop(path);
  make_image(kCases[0], loop.path());
  Mount mount(loop.path());
  std::vector<std::unique_ptr<OpenFile>> open;
  for (int i = 0; i < 200; ++i) {
    const auto file = mount.path("file" + std::to_string(i));
    open.push_back(std::make_unique<OpenFile>(file, O_RDWR | O_CREAT));
    must(::write(open.back()->get(), "x", 1) == 1, "write");
    std::filesystem::remove(file);
  }
  const OpenFile root(mount.path(), O_RDONLY | O_DIRECTORY);
  must(::ioctl(root.get(), FIFREEZE, 0) == 0, "freeze");
  expect_flawless(path, {"inode without links", "unlinked bucket"});
  must(::ioctl(root.get(), FITHAW, 0) == 0, "thaw");
}

}  // namespace
}  // namespace xdax::test
