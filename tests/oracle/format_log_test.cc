// The log as mkfs.xfs and the kernel write it: every record, operation and item is flawless, and damaged it is not.

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <ostream>
#include <random>
#include <string>
#include <vector>

#include "libfs/base/crc32c.h"
#include "tests/oracle/format_features.h"
#include "tests/oracle/format_log_reader.h"
#include "tests/oracle/format_populate.h"
#include "tests/oracle/format_walker.h"
#include "tests/support/loop_device.h"
#include "tests/support/mount.h"
#include "tests/support/oracle.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace xdax::test {
namespace {

constexpr std::uint64_t kImageBytes = 512ull << 20;

struct Case {
  const char* name;
  std::vector<std::string> mkfs;
  const char* mount = "";
  std::uint32_t sector_bytes = 512;
  std::uint32_t block_bytes = 4096;
  std::vector<std::string> more_kinds = {};
};

const std::vector<std::string> kKindsOfAll = {"record", "transaction", "inode"};

const std::vector<Case> kCases = {
    {.name = "Default",
     .mkfs = {"-m", "rmapbt=1"},
     .more_kinds = {"buffer", "icreate", "efi", "efd", "rui", "rud", "cui", "cud", "bui", "bud", "continued region"}},
    {.name = "LargeRecords",
     .mkfs = {"--unsupported", "-l", "size=16m", "-i", "nrext64=1"},
     .mount = "logbsize=256k",
     .more_kinds = {"buffer", "icreate", "efi", "efd", "further header", "cui", "cud", "bui", "bud"}},
    // Records of at least 64 KiB go around the log soon, and over what came before.
    {.name = "LogStripe",
     .mkfs = {"-l", "su=65536", "-b", "size=1024", "-m", "bigtime=0"},
     .block_bytes = 1024,
     .more_kinds = {"further header"}},
    // Smaller than mkfs.xfs likes, so that records go around its end.
    {.name = "SmallLog", .mkfs = {"--unsupported", "-l", "size=6m"}, .more_kinds = {"record around the end"}},
    {.name = "Sector4K",
     .mkfs = {"--unsupported", "-l", "size=16m", "-s", "size=4096", "-i", "size=2048"},
     .sector_bytes = 4096,
     .more_kinds = {"buffer", "icreate", "efi", "efd"}},
    // 64 KiB directory blocks: the longest maps of dirty pieces.
    {.name = "Dir64K",
     .mkfs = {"--unsupported", "-l", "size=16m", "-n", "size=65536"},
     .more_kinds = {"buffer", "icreate", "efi", "efd"}},
};

std::ostream& operator<<(std::ostream& out, const Case& test_case) { return out << test_case.name; }

void make_image(const Case& test_case, const std::string& device_or_image) {
  std::vector<std::string> argv{"mkfs.xfs", "-q", "-f"};
  argv.insert(argv.end(), test_case.mkfs.begin(), test_case.mkfs.end());
  argv.push_back(device_or_image);
  run_or_throw(argv);
}

void expect_flawless(const LogReader& reader, const std::vector<std::string>& kinds) {
  for (const std::string& problem : reader.problems()) ADD_FAILURE() << problem;
  for (const std::string& kind : kinds) {
    EXPECT_TRUE(reader.census().contains(kind)) << "no " << kind << " among\n" << reader.describe_census();
  }
}

// Works until the log holds items of every kind; whether an intent and its done item are written depends on when the
// log happens to be forced. What is in the log can be read while the filesystem is mounted, as far as it has been
// forced.
void work_until_seen(const std::filesystem::path& image_path, const std::filesystem::path& root,
                     const std::vector<std::string>& kinds, const std::function<void()>& work) {
  constexpr int kMostRounds = 100;
  for (int round = 0; round < kMostRounds; ++round) {
    {
      // Not while the log is read, or a small one would be filled over before its end.
      const LogForcer forcer(root);
      work();
    }
    const Image image(image_path);
    LogReader reader(image);
    reader.read();
    if (std::ranges::all_of(kinds, [&](const auto& kind) { return reader.census().contains(kind); })) return;
  }
}

// Any bit of a record's checksummed bytes.
void expect_damage_is_seen(const LogReader& reader) {
  constexpr std::uint64_t kSeed = 20150803;
  std::mt19937_64 random(kSeed);
  ASSERT_FALSE(reader.records().empty());
  for (const std::uint32_t block : {reader.records().front(), reader.records().back()}) {
    const ByteSpan record = reader.record_at(block);
    const auto& header = view<LogRecordHeader>(record);
    if (header.crc == 0) continue;
    const std::size_t header_bytes = std::size_t{log_header_blocks(header.size)} * kBasicBlockBytes;
    const ByteSpan whole = record.first(header_bytes + header.len);
    const Bytes good(whole.begin(), whole.end());
    for (int round = 0; round < 200; ++round) {
      const bool in_header = round % 4 == 0;
      const std::size_t low = in_header ? 0 : header_bytes;
      const std::size_t high = in_header ? kLogHeaderBytes32 : good.size();
      std::uniform_int_distribution<std::size_t> any(low * 8, high * 8 - 1);
      const std::size_t bit = any(random);
      Bytes bad = good;
      bad[bit / 8] ^= std::byte{1} << (bit % 8);
      EXPECT_FALSE(verify_log_record(bad, reader.expectation(block)).empty()) << "bit " << bit << " turned";
    }
  }
}

// After recovery an inode on disk is what was logged last, but for what recovery itself writes.
void expect_recovered(const Image& image, const std::map<std::uint64_t, InodeCore>& cores) {
  const Geometry& geometry = image.geometry();
  std::size_t compared = 0;
  for (const auto& [ino, logged] : cores) {
    const Bytes bytes = image.read(geometry.byte_of(InodeNumber(ino)), geometry.inode_bytes);
    InodeCore disk = view<InodeCore>(bytes);
    // An inode that lost its last link, or that mounting and unmounting touched, went on after the log's last word.
    if (!disk.allocated() || disk.gen != logged.gen || disk.changecount != logged.changecount) continue;
    disk.lsn = logged.lsn;
    disk.crc = logged.crc;
    disk.next_unlinked = logged.next_unlinked;
    EXPECT_EQ(std::memcmp(&disk, &logged, sizeof(disk)), 0) << "inode " << ino;
    ++compared;
  }
  EXPECT_GT(compared, 0u);
}

// Work of many transactions each, in the foreground, so that the log is forced between them.
void churn(const std::filesystem::path& root) {
  constexpr std::uint32_t kBlock = 4096;
  constexpr off_t kPieces = 500;
  const std::string data(kBlock, 'c');
  const OpenFile first(root / "churn", O_RDWR | O_CREAT);
  const OpenFile second(root / "churn_clone", O_RDWR | O_CREAT);
  for (off_t i = 0; i < kPieces; ++i) {
    must(::pwrite(first.get(), data.data(), data.size(), 2 * i * kBlock) == kBlock, "pwrite");
  }
  must(::ioctl(second.get(), FICLONE, first.get()) == 0, "clone");
  for (off_t i = 0; i < kPieces; i += 2) {
    must(::pwrite(second.get(), data.data(), data.size(), 2 * i * kBlock) == kBlock, "pwrite");
  }
  std::filesystem::create_directory(root / "churn_inodes");
  for (int i = 0; i < 200; ++i) Populate::touch(root / "churn_inodes" / std::to_string(i));
  must(::fsync(second.get()) == 0, "fsync");
  std::filesystem::remove_all(root / "churn_inodes");
  must(::ftruncate(first.get(), 0) == 0 && ::ftruncate(second.get(), 0) == 0, "truncate");
}

class FormatLog : public testing::TestWithParam<Case> {};

TEST_P(FormatLog, WrittenByKernelIsFlawlessAndDamagedIsNot) {
  XDAX_NEED_KERNEL_XFS();
  XDAX_NEED_XFSPROGS();
  const TempDir temp(memory_temp_parent());
  const auto path = temp.sparse_file("image", kImageBytes);
  std::vector<std::string> kinds = kKindsOfAll;
  kinds.insert(kinds.end(), GetParam().more_kinds.begin(), GetParam().more_kinds.end());
  {
    LoopDevice loop(path, {.sector_bytes = GetParam().sector_bytes});
    make_image(GetParam(), loop.path());
    Mount mount(loop.path(), GetParam().mount);
    Populate(mount.path(), {.block_bytes = GetParam().block_bytes, .fragments = 500, .inodes = 600}).everything();
    work_until_seen(path, mount.path(), kinds, [&] { churn(mount.path()); });
    mount.shut_down(true);
  }
  std::map<std::uint64_t, InodeCore> cores;
  {
    const Image image(path);
    LogReader reader(image);
    reader.read();
    expect_flawless(reader, kinds);
    expect_damage_is_seen(reader);
    cores = reader.cores();
  }
  {
    LoopDevice loop(path, {.sector_bytes = GetParam().sector_bytes});
    Mount mount(loop.path());
  }
  const Image image(path);
  expect_recovered(image, cores);
  LogReader reader(image);
  reader.read();
  expect_flawless(reader, {"unmount", "blank header"});
}

INSTANTIATE_TEST_SUITE_P(Geometries, FormatLog, testing::ValuesIn(kCases),
                         [](const auto& instance) { return std::string(instance.param.name); });

TEST(FormatLogFresh, WrittenByMkfsIsFlawless) {
  XDAX_NEED_XFSPROGS();
  for (const std::vector<std::string>& options : {std::vector<std::string>{}, {"-l", "su=262144"}, {"-l", "su=4096"}}) {
    const TempDir temp(memory_temp_parent());
    const auto path = temp.sparse_file("image", kImageBytes);
    make_image({.name = "", .mkfs = options}, path.string());
    const Image image(path);
    LogReader reader(image);
    reader.read();
    expect_flawless(reader, {"record", "unmount"});
  }
}

// Parent pointers and the exchange of ranges are newer than the mkfs.xfs of the machine: an empty filesystem is the
// same with and without them, so that the bit is all that has to be set.
TEST(FormatNewFeatures, ParentPointersAreFlawless) {
  XDAX_NEED_KERNEL_XFS();
  XDAX_NEED_XFSPROGS();
  const TempDir temp(memory_temp_parent());
  const auto path = temp.sparse_file("image", kImageBytes);
  make_image(kCases[0], path.string());
  add_incompat_features(path, incompat_bits::kParent);
  {
    LoopDevice loop(path);
    Mount mount(loop.path());
    std::filesystem::create_directories(mount.path("a/b"));
    Populate::touch(mount.path("a/file"));
    for (int i = 0; i < 300; ++i) Populate::touch(mount.path("a/b/file" + std::to_string(i)));
    std::filesystem::rename(mount.path("a/b/file1"), mount.path("a/moved"));
    int link = 0;
    work_until_seen(path, mount.path(), {"attri", "attrd"}, [&] {
      for (int i = 0; i < 300; ++i, ++link) {
        const auto name = mount.path("a/b/link_number_" + std::to_string(link));
        std::filesystem::create_hard_link(mount.path("a/file"), name);
        if (i % 5 == 0) std::filesystem::remove(name);
      }
    });
    mount.shut_down(true);
  }
  {
    const Image image(path);
    LogReader reader(image);
    reader.read();
    expect_flawless(reader, {"attri", "attrd"});
  }
  {
    LoopDevice loop(path);
    Mount mount(loop.path());
  }
  const Image image(path);
  Walker walker(image);
  walker.walk();
  for (const std::string& problem : walker.problems()) ADD_FAILURE() << problem;
  for (const char* const kind : {"parent pointer", "attr shortform", "attr leaf", "attr da node"}) {
    EXPECT_TRUE(walker.census().contains(kind)) << "no " << kind << " among\n" << walker.describe_census();
  }
}

// Files whose extents alternate, so that the exchange takes many transactions.
void exchange_fragmented_files(const std::filesystem::path& root) {
  constexpr std::uint32_t kBlock = 4096;
  constexpr off_t kPieces = 1000;
  const std::string data(kBlock, 'e');
  const OpenFile first(root / "first", O_RDWR | O_CREAT);
  const OpenFile second(root / "second", O_RDWR | O_CREAT);
  for (off_t i = 0; i < kPieces; ++i) {
    must(::pwrite(first.get(), data.data(), data.size(), 2 * i * kBlock) == kBlock, "pwrite");
    must(::pwrite(second.get(), data.data(), data.size(), (2 * i + 1) * kBlock) == kBlock, "pwrite");
  }
  must(::ftruncate(first.get(), 2 * kPieces * kBlock) == 0, "truncate");
  exchange_range(first.get(), second.get(), 2 * kPieces * kBlock);
}

TEST(FormatNewFeatures, ExchangeItemsAreFlawless) {
  XDAX_NEED_KERNEL_XFS();
  XDAX_NEED_XFSPROGS();
  const TempDir temp(memory_temp_parent());
  const auto path = temp.sparse_file("image", kImageBytes);
  make_image(kCases[0], path.string());
  add_incompat_features(path, incompat_bits::kExchange);
  {
    LoopDevice loop(path);
    Mount mount(loop.path());
    work_until_seen(path, mount.path(), {"xmi", "xmd"}, [&] { exchange_fragmented_files(mount.path()); });
    mount.shut_down(true);
  }
  const Image image(path);
  LogReader reader(image);
  reader.read();
  expect_flawless(reader, {"xmi", "xmd"});
}

}  // namespace
}  // namespace xdax::test
