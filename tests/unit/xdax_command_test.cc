// xdax as users run it: usage, what is no filesystem, features it refuses, damage; always one line and an exit status.
// And that no change of bytes makes it crash or run without end.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <random>

#include "libfs/base/crc32c.h"
#include "libfs/base/error.h"
#include "libfs/format/inode.h"
#include "libfs/format/superblock.h"
#include "libfs/volume/volume.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace xdax::test {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class XdaxCommand : public ::testing::Test {
 protected:
  XdaxCommand() {
    run_or_throw({program_path("mkfs.xdax"), "-q", "-d", "file=1,size=320m", image_});
    const std::string bytes = read_bytes(image_, 0, 512);
    geometry_ = Geometry(view<Superblock>(std::as_bytes(std::span(bytes))));
  }

  static ProcessResult xdax(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), program_path("xdax"));
    return run(arguments, {.timeout = std::chrono::seconds(60)});
  }
  static void expect_failure(const ProcessResult& result, int status) {
    EXPECT_EQ(result.exit_status, status) << result.describe();
    EXPECT_EQ(result.out, "");
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
    EXPECT_THAT(result.err, StartsWith("xdax: "));
  }
  template <class T>
  void edit(std::uint64_t byte, std::size_t length, std::optional<std::size_t> crc_offset,
            const std::function<void(T&)>& change) const {
    std::string bytes = read_bytes(image_, byte, length);
    const MutableByteSpan span = std::as_writable_bytes(std::span(bytes));
    change(mutable_view<T>(span));
    if (crc_offset) seal(span, *crc_offset);
    overwrite(image_, byte, bytes);
  }
  void edit_superblock(const std::function<void(Superblock&)>& change) const {
    edit<Superblock>(0, 512, offsetof(Superblock, crc), change);
  }
  void edit_root(const std::function<void(InodeCore&)>& change) const {
    edit<InodeCore>(geometry_.byte_of(geometry_.root_inode), geometry_.inode_bytes, offsetof(InodeCore, crc), change);
  }

  TempDir dir_{memory_temp_parent()};
  std::filesystem::path image_ = dir_.path("image");
  Geometry geometry_;
};

TEST_F(XdaxCommand, AnEmptyFilesystem) {
  for (const char* verb : {"ls", "digest"}) {
    const ProcessResult result = xdax({verb, image_});
    EXPECT_EQ(result.exit_status, 0) << result.describe();
    EXPECT_EQ(result.out + result.err, "");
  }
  EXPECT_EQ(xdax({"tree", image_}).out, "/\n0 directories, 0 other files\n");
  const auto object = nlohmann::json::parse(xdax({"stat", "--json", image_, "/"}).out);
  EXPECT_EQ(object["inode"], geometry_.root_inode.value());
  EXPECT_EQ(object["type"], "directory");
  EXPECT_EQ(object["directory_form"], "short");
  EXPECT_EQ(object["links"], 2);
}

TEST_F(XdaxCommand, WrongCommandLinesAreTwo) {
  const std::vector<std::vector<std::string>> wrong = {
      {},
      {"list", image_},
      {"ls"},
      {"cat", image_},
      {"ls", "--wrong", image_},
      {"ls", image_, "/", "more"},
      {"ls", "--io=fast", image_},
      {"cat", "--json", image_, "/"},
  };
  for (const auto& arguments : wrong) {
    const ProcessResult result = xdax(arguments);
    expect_failure(result, 2);
    EXPECT_THAT(result.err, HasSubstr("see xdax --help"));
  }
}

TEST_F(XdaxCommand, HelpAndVersion) {
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"--help"}, {"-h"}, {"--version"}, {"-V"}}) {
    const ProcessResult result = xdax(arguments);
    EXPECT_EQ(result.exit_status, 0);
    EXPECT_THAT(result.out, HasSubstr("xdax"));
    EXPECT_EQ(result.err, "");
  }
  EXPECT_THAT(xdax({"ls", "--help"}).out, HasSubstr("-R"));
}

TEST_F(XdaxCommand, WhatIsNoFilesystemIsOne) {
  expect_failure(xdax({"ls", dir_.path("nothing")}), 1);
  const auto empty = dir_.sparse_file("empty", 0);
  expect_failure(xdax({"ls", empty}), 1);
  const auto zeros = dir_.sparse_file("zeros", 64u << 20);
  const ProcessResult result = xdax({"ls", zeros});
  expect_failure(result, 1);
  EXPECT_THAT(result.err, HasSubstr("is not an XFS filesystem"));
  std::filesystem::resize_file(image_, 100u << 20);
  expect_failure(xdax({"ls", image_}), 1);
}

TEST_F(XdaxCommand, WhatIsNotThereIsOne) {
  expect_failure(xdax({"cat", image_, "/no\nsuch\x1b[0m"}), 1);
  expect_failure(xdax({"cat", image_, "/"}), 1);
  expect_failure(xdax({"xattr", image_, "/", "user.none"}), 1);
  expect_failure(xdax({"xattr", image_, "/", "none"}), 1);
  expect_failure(xdax({"stat", image_, std::string(5000, 'x')}), 1);
}

TEST_F(XdaxCommand, FeaturesAreRefusedByName) {
  edit_superblock([](Superblock& sb) { sb.features_incompat = sb.features_incompat | incompat_bits::kMetadir; });
  const ProcessResult result = xdax({"ls", image_});
  expect_failure(result, 1);
  EXPECT_THAT(result.err, HasSubstr("metadata directory tree"));
}

TEST_F(XdaxCommand, NeedOfRepairIsRefusedUnlessIgnored) {
  edit_superblock([](Superblock& sb) { sb.features_incompat = sb.features_incompat | incompat_bits::kNeedsRepair; });
  const ProcessResult result = xdax({"ls", image_});
  expect_failure(result, 1);
  EXPECT_THAT(result.err, HasSubstr("xfs_repair"));
  EXPECT_EQ(xdax({"ls", "--ignore-log", image_}).exit_status, 0);
}

TEST_F(XdaxCommand, ADamagedLogIsRefusedUnlessIgnored) {
  overwrite(image_, geometry_.byte_of(geometry_.log_start), std::string(1024, 'x'));
  const ProcessResult result = xdax({"ls", image_});
  expect_failure(result, 1);
  EXPECT_THAT(result.err, HasSubstr("--ignore-log"));
  EXPECT_EQ(xdax({"ls", "--ignore-log", image_}).exit_status, 0);
}

TEST_F(XdaxCommand, DamageNamesStructureByteInodeAndRule) {
  edit<InodeCore>(geometry_.byte_of(geometry_.root_inode), geometry_.inode_bytes, std::nullopt,
                  [](InodeCore& core) { core.uid += 1; });
  const ProcessResult checksum = xdax({"ls", image_});
  expect_failure(checksum, 1);
  EXPECT_THAT(checksum.err, HasSubstr("inode " + std::to_string(geometry_.root_inode.value())));
  EXPECT_THAT(checksum.err, HasSubstr("checksum"));
  EXPECT_THAT(checksum.err,
              HasSubstr("byte " + std::to_string(geometry_.byte_of(geometry_.root_inode) + offsetof(InodeCore, crc))));
  edit_root([](InodeCore& core) {
    core.uid -= 1;
    core.mode = 0;
  });
  expect_failure(xdax({"ls", image_}), 1);
}

TEST_F(XdaxCommand, AFullOutputIsOne) {
  const ProcessResult result = run({"sh", "-c", "exec \"$0\" stat \"$1\" / >/dev/full", program_path("xdax"), image_});
  EXPECT_EQ(result.exit_status, 1);
  EXPECT_THAT(result.err, HasSubstr("standard output cannot be written"));
}

// Whatever the bytes of the root directory say, with a checksum that is right: an answer or an error, in time.
TEST_F(XdaxCommand, HostileRootInodes) {
  const auto device = open_device(image_.string(), {.mode = OpenMode::kReadWrite});
  const Volume volume = Volume::open(*device, {});
  const std::uint64_t byte = geometry_.byte_of(geometry_.root_inode);
  std::vector<std::byte> sound(geometry_.inode_bytes);
  device->read(byte, sound);
  constexpr unsigned kSeed = 7;
  std::mt19937 random(kSeed);
  unsigned refused = 0;
  for (unsigned round = 0; round < 3000; ++round) {
    std::vector<std::byte> bytes = sound;
    for (unsigned i = 0; i < 1 + round % 4; ++i) bytes[random() % bytes.size()] = static_cast<std::byte>(random());
    seal(bytes, offsetof(InodeCore, crc));
    device->write(byte, bytes);
    try {
      Directory root = volume.directory(volume.root());
      for (const DirItem& item : root.list()) (void)root.lookup(item.name);
      (void)volume.attributes(volume.root()).list();
    } catch (const Error&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 100u);
}

}  // namespace
}  // namespace xdax::test
