// fsck.xdax as users and wrappers run it: exit statuses, one-line errors, what is printed, and hostile input.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "fsck/check.h"
#include "fsck/command.h"
#include "libfs/base/crc32c.h"
#include "libfs/format/agf.h"
#include "libfs/format/geometry.h"
#include "libfs/format/log_record.h"
#include "libfs/format/superblock.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace xdax::test {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class FsckCommand : public ::testing::Test {
 protected:
  FsckCommand() {
    run_or_throw({program_path("mkfs.xdax"), "-q", "-d", "file=1,size=320m", "-m", "rmapbt=1", image_});
    const std::string bytes = read_bytes(image_, 0, 512);
    geometry_ = Geometry(view<Superblock>(std::as_bytes(std::span(bytes))));
  }

  ProcessResult fsck(std::vector<std::string> options, const std::filesystem::path& path) const {
    options.insert(options.begin(), program_path("fsck.xdax"));
    options.push_back(path.string());
    return run(options, {.timeout = std::chrono::seconds(60)});
  }
  ProcessResult fsck(std::vector<std::string> options) const { return fsck(std::move(options), image_); }

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
  /// Damages a counter of group 1.
  void damage() const {
    edit<Agf>(geometry_.header_byte(AgNumber(1), 1), 512, offsetof(Agf, crc), [](Agf& agf) { agf.btreeblks += 1; });
  }
  /// Turns the unmount record of mkfs into any other.
  void make_dirty() const {
    const std::uint64_t log = geometry_.byte_of(geometry_.log_start);
    std::string bytes = read_bytes(image_, log, 2 * kBasicBlockBytes);
    const MutableByteSpan record = std::as_writable_bytes(std::span(bytes));
    auto& op = mutable_view<LogOpHeader>(record, kBasicBlockBytes);
    if ((op.flags & log_op_flags::kUnmount) == 0) throw std::logic_error("not the record of mkfs");
    op.flags = log_op_flags::kStart;
    mutable_view<LogRecordHeader>(record).crc =
        log_record_checksum(record.first(kBasicBlockBytes), record.last(kBasicBlockBytes), kLogHeaderBytes64);
    overwrite(image_, log, bytes);
  }

  static void expect_one_line(const std::string& text) {
    EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1) << text;
    EXPECT_THAT(text, StartsWith("fsck.xdax: "));
  }

  TempDir dir_{memory_temp_parent()};
  std::filesystem::path image_ = dir_.path("image");
  Geometry geometry_;
};

TEST_F(FsckCommand, CleanIsSilent) {
  for (const char* option : {"-n", "-y", "-a", "-p", "-f", "-nf", "-pf"}) {
    const ProcessResult result = fsck({option});
    EXPECT_EQ(result.exit_status, 0) << result.describe();
    EXPECT_EQ(result.out + result.err, "") << option;
  }
  EXPECT_THAT(fsck({"-n", "-v"}).out, HasSubstr("3 inodes in use, 1 of them directories"));
  EXPECT_THAT(fsck({"-n", "-v"}).out, HasSubstr("no problems found"));
}

TEST_F(FsckCommand, DamageIsFourAndHonestAboutRepair) {
  damage();
  for (const char* option : {"-n", "-f", "-pf", "-af", "-y"}) {
    const ProcessResult result = fsck({option});
    EXPECT_EQ(result.exit_status, 4) << result.describe();
    EXPECT_THAT(result.out, HasSubstr("total.btreeblks: group 1"));
    EXPECT_THAT(result.out, HasSubstr("nothing was changed"));
    EXPECT_EQ(result.err, "");
  }
  EXPECT_THAT(fsck({"-y"}).out, HasSubstr("this version cannot repair"));
}

TEST_F(FsckCommand, NothingIsEverWritten) {
  damage();
  make_dirty();
  const std::string before = read_bytes(image_, 0, 320u << 20);
  std::filesystem::permissions(image_, std::filesystem::perms::owner_read);
  for (const char* option : {"-n", "-y", "-a", "-pf"}) EXPECT_NE(fsck({option}).exit_status, 8);
  EXPECT_TRUE(before == read_bytes(image_, 0, 320u << 20));
}

TEST_F(FsckCommand, ADirtyLogIsFourOrLeftToTheMount) {
  make_dirty();
  const ProcessResult looked = fsck({"-n"});
  EXPECT_EQ(looked.exit_status, 4);
  EXPECT_THAT(looked.out, HasSubstr("log.dirty"));
  EXPECT_THAT(looked.out, HasSubstr("head at cycle 1 block 2, tail at cycle 1 block 0"));
  EXPECT_THAT(looked.out, HasSubstr("wait for the replay of the log"));
  for (const char* option : {"-a", "-p"}) {
    const ProcessResult boot = fsck({option});
    EXPECT_EQ(boot.exit_status, 0) << boot.describe();
    EXPECT_THAT(boot.out, HasSubstr("the next mount replays"));
  }
  EXPECT_EQ(fsck({"-af"}).exit_status, 4);
}

TEST_F(FsckCommand, ADirtyLogIsLeftToTheMountOnlyWhenItIsAll) {
  make_dirty();
  edit_superblock([](Superblock& sb) { sb.features_incompat = sb.features_incompat | incompat_bits::kNeedsRepair; });
  const ProcessResult boot = fsck({"-a"});
  EXPECT_EQ(boot.exit_status, 4) << boot.describe();
  EXPECT_THAT(boot.out, HasSubstr("log.dirty"));
  EXPECT_THAT(boot.out, HasSubstr("sb.needsrepair"));
}

TEST_F(FsckCommand, ADirtyLogHidesNoDamageOfHeaders) {
  make_dirty();
  edit<Agf>(geometry_.header_byte(AgNumber(1), 1), 512, std::nullopt, [](Agf& agf) { agf.freeblks += 1; });
  EXPECT_THAT(fsck({"-n"}).out, HasSubstr("agf.checksum"));
}

TEST_F(FsckCommand, AtBootOnlyDamageOfTheSuperblockIsSeen) {
  damage();
  EXPECT_EQ(fsck({"-a"}).exit_status, 0);
  edit_superblock([](Superblock& sb) { sb.features_incompat = sb.features_incompat | incompat_bits::kNeedsRepair; });
  const ProcessResult boot = fsck({"-a"});
  EXPECT_EQ(boot.exit_status, 4);
  EXPECT_THAT(boot.out, HasSubstr("sb.needsrepair"));
}

TEST_F(FsckCommand, JsonSaysTheSame) {
  damage();
  const ProcessResult result = fsck({"-n", "--json"});
  EXPECT_EQ(result.exit_status, 4);
  EXPECT_EQ(std::count(result.out.begin(), result.out.end(), '\n'), 1);
  const auto json = nlohmann::json::parse(result.out);
  EXPECT_EQ(json["schema"], "xdax-fsck");
  EXPECT_EQ(json["exit_status"], 4);
  EXPECT_EQ(json["counts"]["total.btreeblks"], 1);
  ASSERT_EQ(json["findings"].size(), 1u);
  const auto& finding = json["findings"][0];
  EXPECT_EQ(finding["id"], "total.btreeblks");
  EXPECT_EQ(finding["severity"], "error");
  EXPECT_EQ(finding["cure"], "recompute");
  EXPECT_EQ(finding["group"], 1);
  EXPECT_EQ(finding["found"].get<int>(), finding["expected"].get<int>() + 1);
  EXPECT_EQ(json["log"]["state"], "clean");
}

TEST_F(FsckCommand, OrderDoesNotDependOnThreads) {
  for (std::uint32_t ag = 0; ag < geometry_.ag_count; ++ag) {
    edit<Agf>(geometry_.header_byte(AgNumber(ag), 1), 512, std::nullopt, [](Agf& agf) { agf.seqno += 1; });
  }
  const std::string one = fsck({"-n", "--threads", "1"}).out;
  EXPECT_THAT(one, HasSubstr("agf.sequence: group 3"));
  for (int i = 0; i < 5; ++i) EXPECT_EQ(fsck({"-n", "--threads", "8"}).out, one);
}

TEST_F(FsckCommand, ProgressLinesGoWhereAsked) {
  const ProcessResult result = fsck({"-n", "-C", "2"});
  EXPECT_EQ(result.exit_status, 0);
  EXPECT_EQ(result.out, "");
  EXPECT_THAT(result.err, HasSubstr("1 20 20 " + image_.string()));
  EXPECT_EQ(fsck({"-n"}).err, "");
}

// What an interrupt does: the observer throws in whichever thread it is called.
class Interrupting final : public fsck::CheckObserver {
 public:
  void start_pass(unsigned, std::uint64_t, const char*) override {}
  void advance(std::uint64_t) override {
    if (++steps_ == 7) throw RefusalError(Errc::kCancelled, "stop");
  }
  void finish_pass() override {}

 private:
  std::atomic<int> steps_ = 0;
};

TEST_F(FsckCommand, AnInterruptEndsTheCheck) {
  const auto device = open_device(image_.string(), {.mode = OpenMode::kRead});
  for (const unsigned threads : {1u, 4u}) {
    Interrupting observer;
    EXPECT_THROW(static_cast<void>(fsck::check_filesystem(*device, {.threads = threads, .observer = &observer})),
                 RefusalError);
  }
}

TEST_F(FsckCommand, SeveralDevicesAddUp) {
  const std::filesystem::path other = dir_.path("other");
  std::filesystem::copy_file(image_, other);
  damage();
  const ProcessResult result = run({program_path("fsck.xdax"), "-n", image_, other, dir_.path("none")});
  EXPECT_EQ(result.exit_status, 4 + 8) << result.describe();
}

TEST_F(FsckCommand, UsageIsSixteenInOneLine) {
  for (const std::vector<std::string>& options :
       std::vector<std::vector<std::string>>{{"-Q"}, {"-n", "-y"}, {"--io=tape"}}) {
    const ProcessResult result = fsck(options);
    EXPECT_EQ(result.exit_status, 16);
    expect_one_line(result.err);
    EXPECT_EQ(result.out, "");
  }
  EXPECT_EQ(run({program_path("fsck.xdax")}).exit_status, 16);
  EXPECT_EQ(run({program_path("fsck.xdax"), "-V"}).exit_status, 0);
}

TEST_F(FsckCommand, WhatIsNoFilesystemIsEightInOneLine) {
  std::mt19937 random(1);
  std::string noise(3 << 20, '\0');
  for (char& c : noise) c = static_cast<char>(random());
  const auto file = [&](const char* name, const std::string& bytes) {
    std::ofstream(dir_.path(name), std::ios::binary) << bytes;
    return dir_.path(name);
  };
  ASSERT_EQ(::mkfifo(dir_.path("pipe").c_str(), 0600), 0);
  const std::vector<std::filesystem::path> inputs = {dir_.path("missing"),
                                                     dir_.path(),
                                                     "/dev/zero",
                                                     "/dev/null",
                                                     dir_.path("pipe"),
                                                     file("empty", ""),
                                                     file("short", "XFSB"),
                                                     file("sector", noise.substr(0, 512)),
                                                     file("noise", noise),
                                                     file("zeros", std::string(1 << 20, '\0')),
                                                     file("magic", "XFSB" + noise),
                                                     file("only_magic", "XFSB" + std::string(5000, '\0')),
                                                     dir_.sparse_file("sparse", 1ull << 40)};
  for (const auto& input : inputs) {
    const ProcessResult result = fsck({"-n"}, input);
    EXPECT_EQ(result.exit_status, 8) << result.describe();
    expect_one_line(result.err);
    EXPECT_EQ(result.out, "");
    EXPECT_EQ(fsck({"-a"}, input).exit_status, 8);
    const auto json = nlohmann::json::parse(fsck({"-n", "--json"}, input).out);
    EXPECT_TRUE(json["error"].is_string());
  }
}

TEST_F(FsckCommand, FeaturesAreRefusedByName) {
  const std::vector<std::pair<std::string, std::function<void(Superblock&)>>> cases = {
      {"format version 4", [](Superblock& sb) { sb.versionnum = 0xb4a4; }},
      {"metadir", [](Superblock& sb) { sb.features_incompat = sb.features_incompat | incompat_bits::kMetadir; }},
      {"zoned", [](Superblock& sb) { sb.features_incompat = sb.features_incompat | incompat_bits::kZoned; }},
      {"incompatible feature bits 0x80000000",
       [](Superblock& sb) { sb.features_incompat = sb.features_incompat | 0x80000000; }},
      {"read-only-compatible feature bits 0x100",
       [](Superblock& sb) { sb.features_ro_compat = sb.features_ro_compat | 0x100; }},
      {"realtime device", [](Superblock& sb) { sb.rblocks = 1000; }},
      {"external log", [](Superblock& sb) { sb.logstart = 0; }},
  };
  const std::string original = read_bytes(image_, 0, 512);
  for (const auto& [words, change] : cases) {
    edit_superblock(change);
    const ProcessResult result = fsck({"-n"});
    EXPECT_EQ(result.exit_status, 8) << result.describe();
    EXPECT_THAT(result.err, HasSubstr(words));
    expect_one_line(result.err);
    overwrite(image_, 0, original);
  }
  EXPECT_EQ(fsck({"-n"}).exit_status, 0);
}

TEST_F(FsckCommand, WithoutThePrimaryACopyIsUsedAndSaid) {
  const std::string copy = read_bytes(image_, geometry_.header_byte(AgNumber(2), 0), 512);
  overwrite(image_, 0, std::string(512, '\0'));
  const ProcessResult by_first = fsck({"-n"});
  EXPECT_EQ(by_first.exit_status, 4) << by_first.describe();
  EXPECT_THAT(by_first.out, HasSubstr("sb.copy_used"));
  EXPECT_THAT(by_first.out, HasSubstr("in group 1"));
  overwrite(image_, geometry_.header_byte(AgNumber(1), 0), std::string(512, '\0'));
  EXPECT_THAT(fsck({"-n"}).out, HasSubstr("in group 2"));
  // A copy that lies where no group starts is some file's content.
  for (const std::uint32_t ag : {2u, 3u})
    overwrite(image_, geometry_.header_byte(AgNumber(ag), 0), std::string(512, '\0'));
  overwrite(image_, 5u << 20, copy);
  const ProcessResult none = fsck({"-n"});
  EXPECT_EQ(none.exit_status, 8) << none.describe();
  expect_one_line(none.err);
}

TEST_F(FsckCommand, TruncatedImagesAreNeverClean) {
  const std::uint64_t whole = std::filesystem::file_size(image_);
  const std::filesystem::path cut = dir_.path("cut");
  std::filesystem::copy_file(image_, cut);
  std::mt19937_64 random(1);
  std::vector<std::uint64_t> lengths = {whole - 1, whole - 512, whole - 4096, whole / 2, whole / 4, 65536, 8192,
                                        4096,      2048,        1024,         513,       512,       511,   1};
  for (int i = 0; i < 20; ++i) lengths.push_back(random() % whole);
  std::sort(lengths.rbegin(), lengths.rend());
  for (const std::uint64_t length : lengths) {
    std::filesystem::resize_file(cut, length);
    const ProcessResult result = fsck({"-n"}, cut);
    EXPECT_THAT(result.exit_status, AnyOf(4, 8)) << length << result.describe();
    EXPECT_NE(fsck({"-a"}, cut).exit_status, 0) << length;
    if (length >= 512) {
      EXPECT_THAT(result.out, HasSubstr("fs.truncated")) << length;
    }
  }
}

// Every field of the superblock at its extremes, with a right checksum.
TEST_F(FsckCommand, ImpossibleGeometryEndsInAnError) {
  const std::string original = read_bytes(image_, 0, 512);
  for (std::size_t at = 0; at + 8 <= sizeof(Superblock); at += 2) {
    for (const char fill : {'\0', '\x01', '\x7f', '\xff'}) {
      std::string bytes = original;
      bytes.replace(at, 4, std::string(4, fill));
      if (bytes == original) continue;
      seal(std::as_writable_bytes(std::span(bytes)), offsetof(Superblock, crc));
      overwrite(image_, 0, bytes);
      const ProcessResult result = fsck({"-n"});
      EXPECT_EQ(result.signal, 0) << at << result.describe();
      EXPECT_FALSE(result.timed_out) << at;
      EXPECT_THAT(result.exit_status, AnyOf(0, 4, 8)) << at;
    }
  }
}

TEST_F(FsckCommand, AnyBytesEndInAnAnswer) {
  std::mt19937_64 random(7);
  const std::uint64_t whole = std::filesystem::file_size(image_);
  // Where metadata is: the first blocks of every group, and the log.
  for (int i = 0; i < 150; ++i) {
    std::vector<std::pair<std::uint64_t, std::string>> saved;
    for (int j = 0; j < 12; ++j) {
      const auto ag = static_cast<std::uint32_t>(random() % geometry_.ag_count);
      const std::uint64_t byte = std::min(geometry_.header_byte(AgNumber(ag), 0) + random() % 40000, whole - 8);
      saved.emplace_back(byte, read_bytes(image_, byte, 4));
      std::string bytes(4, static_cast<char>(random()));
      overwrite(image_, byte, bytes);
    }
    const ProcessResult result = fsck({"-n"});
    EXPECT_EQ(result.signal, 0) << result.describe();
    EXPECT_FALSE(result.timed_out);
    EXPECT_THAT(result.exit_status, AnyOf(0, 4, 8)) << result.describe();
    for (auto each = saved.rbegin(); each != saved.rend(); ++each) overwrite(image_, each->first, each->second);
  }
  EXPECT_EQ(fsck({"-n"}).exit_status, 0);
}

// Gives the root directory's inode as it is until it has been read once, then as a free one: as if the filesystem were
// mounted and changed between two passes.
class ChangingDevice final : public Device {
 public:
  ChangingDevice(Device& base, std::uint64_t byte) : base_(base), byte_(byte) {}
  [[nodiscard]] const std::string& name() const override { return base_.name(); }
  [[nodiscard]] std::uint64_t size_bytes() const override { return base_.size_bytes(); }
  [[nodiscard]] const DeviceTraits& traits() const override { return base_.traits(); }
  void read_batch(std::span<ReadRequest> requests) override {
    base_.read_batch(requests);
    for (ReadRequest& request : requests) {
      if (request.offset_bytes > byte_ || request.offset_bytes + request.buffer.size() <= byte_) continue;
      // The mode: bytes 2 and 3 of the inode.
      const auto at = static_cast<std::size_t>(byte_ - request.offset_bytes);
      if (reads_++ > 0) std::fill_n(request.buffer.begin() + static_cast<std::ptrdiff_t>(at) + 2, 2, std::byte{0});
    }
  }
  void write_batch(std::span<WriteRequest>) override { throw std::logic_error("the checker writes"); }
  void zero(std::uint64_t, std::uint64_t, ZeroMode) override { throw std::logic_error("the checker writes"); }
  bool discard(std::uint64_t, std::uint64_t) override { throw std::logic_error("the checker writes"); }
  void persist() override { throw std::logic_error("the checker writes"); }

 private:
  Device& base_;
  std::uint64_t byte_;
  std::atomic<unsigned> reads_ = 0;
};

TEST_F(FsckCommand, WhatWasNotComparedIsNeverCalledClean) {
  const auto base = open_device(image_.string(), {.mode = OpenMode::kRead});
  const fsck::CheckResult whole = fsck::check_filesystem(*base, {});
  EXPECT_TRUE(whole.complete());
  EXPECT_EQ(fsck::exit_status_of(whole, false), 0);

  ChangingDevice device(*base, geometry_.byte_of(geometry_.root_inode));
  const fsck::CheckResult result = fsck::check_filesystem(device, {});
  EXPECT_FALSE(result.findings.has_problems()) << "a finding would say it by itself";
  EXPECT_FALSE(result.complete());
  EXPECT_EQ(fsck::exit_status_of(result, false), 8);
}

}  // namespace
}  // namespace xdax::test
