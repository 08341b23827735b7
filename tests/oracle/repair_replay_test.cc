// xdax_repair --replay-only: as users run it, and cut short at any moment.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "fsck/check.h"
#include "libfs/base/error.h"
#include "libfs/device/overlay_device.h"
#include "libfs/device/recording_device.h"
#include "repair/replay.h"
#include "tests/oracle/recovery_work.h"
#include "tests/support/oracle.h"
#include "tests/support/xfs_repair.h"

namespace xdax::test {
namespace {

using ::testing::HasSubstr;

class RepairReplay : public ::testing::Test {
 protected:
  void SetUp() override {
    XDAX_NEED_KERNEL_XFS();
    XDAX_NEED_XFSPROGS();
  }
  [[nodiscard]] ProcessResult repair(std::vector<std::string> options) const {
    options.insert(options.begin(), {program_path("xdax_repair"), "--replay-only"});
    options.push_back(image_.string());
    return run(options);
  }
  [[nodiscard]] bool unchanged_from(const std::filesystem::path& other) const {
    return run({"cmp", image_.string(), other.string()}).exit_status == 0;
  }

  TempDir dir_{memory_temp_parent()};
  std::filesystem::path image_ = dir_.sparse_file("image", 400ull << 20);
  std::filesystem::path before_ = dir_.path() / "before";
};

TEST_F(RepairReplay, RehearsesThenReplaysThenHasNothingToDo) {
  shut_down_after(image_, {"-m", "rmapbt=1"}, rename_storm);
  run_or_throw({"cp", "--sparse=always", image_.string(), before_.string()});
  const ProcessResult rehearsed = repair({"-n"});
  EXPECT_EQ(rehearsed.exit_status, 1) << rehearsed.describe();
  EXPECT_THAT(rehearsed.out, HasSubstr(" /b/moved3\n"));
  EXPECT_THAT(rehearsed.out, HasSubstr("would be written"));
  EXPECT_TRUE(unchanged_from(before_));
  const auto json = nlohmann::json::parse(repair({"-n", "--json"}).out);
  EXPECT_EQ(json["version"], 1);
  EXPECT_EQ(json["log"], "dirty");
  EXPECT_EQ(json["sound"], true);
  EXPECT_EQ(json["written"], false);
  EXPECT_GT(json["files"].size(), 100u);

  const ProcessResult replayed = repair({});
  EXPECT_EQ(replayed.exit_status, 0) << replayed.describe();
  EXPECT_THAT(replayed.out, HasSubstr("the log was replayed and is clean"));
  EXPECT_EQ(replayed.err, "");
  EXPECT_TRUE(xfs_repair_check(image_).clean);
  EXPECT_EQ(run({program_path("fsck.xdax"), "-n", image_.string()}).exit_status, 0);

  const ProcessResult again = repair({});
  EXPECT_EQ(again.exit_status, 0);
  EXPECT_EQ(again.out + again.err, "");
}

// Files that were open and had no name, and what their blocks were.
TEST_F(RepairReplay, FreesFilesThatWereDeletedWhileTheyWereOpen) {
  run_or_throw({"mkfs.xfs", "-q", "-m", "rmapbt=1", image_.string()});
  {
    const LoopDevice loop(image_);
    Mount mount(loop.path());
    {
      const FileHandle open(mount.path() / "open");
      open.write(0, std::string(100000, 'o'));
      const FileHandle empty(mount.path() / "empty");
      std::filesystem::remove(mount.path() / "open");
      std::filesystem::remove(mount.path() / "empty");
      sync_now(mount.path());
      __u32 flags = 1;  // the log is flushed first
      if (::ioctl(open.fd(), _IOR('X', 125, __u32), &flags) != 0)
        throw std::system_error(errno, std::generic_category());
    }
    mount.unmount();
  }
  run_or_throw({"cp", "--sparse=always", image_.string(), before_.string()});
  const ProcessResult rehearsed = repair({"-n"});
  EXPECT_EQ(rehearsed.exit_status, 1) << rehearsed.describe();
  EXPECT_THAT(rehearsed.out, HasSubstr("to be finished: 2 inodes without a name freed"));
  EXPECT_TRUE(unchanged_from(before_));
  const auto json = nlohmann::json::parse(repair({"-n", "--json"}).out);
  EXPECT_EQ(json["freed_inodes"], 2);
  EXPECT_EQ(json["unlinked_lists"], 0);
  EXPECT_EQ(json["sound"], true);
  const ProcessResult replayed = repair({});
  EXPECT_EQ(replayed.exit_status, 0) << replayed.describe();
  EXPECT_THAT(replayed.out, HasSubstr("finished: 2 inodes without a name freed"));
  EXPECT_TRUE(xfs_repair_check(image_).clean);
  EXPECT_EQ(run({program_path("fsck.xdax"), "-n", image_.string()}).exit_status, 0);
  EXPECT_EQ(repair({"-n"}).exit_status, 0);
}

TEST_F(RepairReplay, ADamagedLogIsLeftAsItIs) {
  shut_down_after(image_, {}, rename_storm);
  {
    const auto device = open_device(image_.string(), {.mode = OpenMode::kReadWrite});
    const ImageEditor editor(*device);
    const LogPlace place = LogPlace::of(editor.geometry());
    const LogSummary log = read_log_summary(*device, place);
    ASSERT_GT(log.records, 2u);
    // A bit in the data of the first record.
    const std::uint64_t byte = place.offset_bytes + (std::uint64_t{log.tail->block} + 3) * kBasicBlockBytes + 40;
    std::byte bits[1];
    device->read(byte, bits);
    bits[0] ^= std::byte{4};
    device->write(byte, bits);
    device->persist();
  }
  run_or_throw({"cp", "--sparse=always", image_.string(), before_.string()});
  const ProcessResult result = repair({});
  EXPECT_EQ(result.exit_status, 4) << result.describe();
  EXPECT_THAT(result.err, HasSubstr("the log is damaged"));
  EXPECT_THAT(result.err, HasSubstr("nothing was written"));
  EXPECT_TRUE(unchanged_from(before_));
}

TEST_F(RepairReplay, WhatIsMountedIsRefused) {
  run_or_throw({"mkfs.xfs", "-q", image_.string()});
  const LoopDevice loop(image_);
  const Mount mount(loop.path());
  const ProcessResult result = run({program_path("xdax_repair"), "--replay-only", loop.path()});
  EXPECT_EQ(result.exit_status, 8);
  EXPECT_THAT(result.err, HasSubstr("is mounted"));
}

// All that either side changed outside the log.
void expect_same_but_for_the_log(OverlayDevice& left, OverlayDevice& right, const Geometry& geometry) {
  const std::uint64_t log_begin = geometry.byte_of(geometry.log_start);
  const std::uint64_t log_end = log_begin + (std::uint64_t{geometry.log_blocks} << geometry.block_log);
  for (OverlayDevice* side : {&left, &right}) {
    for (const ChangedRange& range : side->changed_ranges()) {
      if (range.offset_bytes >= log_begin && range.offset_bytes < log_end) continue;
      std::vector<std::byte> one(static_cast<std::size_t>(range.length_bytes));
      std::vector<std::byte> other(one.size());
      left.read(range.offset_bytes, one);
      right.read(range.offset_bytes, other);
      ASSERT_EQ(one, other) << "at byte " << range.offset_bytes;
    }
  }
}

TEST_F(RepairReplay, CutShortAtAnyMomentIsFinishedByTheNextRun) {
  shut_down_after(image_, {"-b", "size=1024", "-m", "rmapbt=1"}, rename_storm);
  const auto base = open_device(image_.string(), {.mode = OpenMode::kRead});
  const ImageEditor editor(*base);
  OverlayDevice whole(*base);
  RecordingDevice recorded(whole);
  ASSERT_TRUE(repair::replay(recorded, {.write = true}).written);
  const Trace trace = recorded.take_trace();
  const std::size_t events = trace.events().size();
  ASSERT_GT(events, 10u);
  ASSERT_EQ(trace.barriers().size(), 2u);

  std::vector<CrashState> states;
  for (std::size_t count = 0; count <= events; count += 1 + events / 60) states.push_back(trace.prefix(count));
  const std::size_t last_write = events - 1;  // the barrier behind it apart
  for (const std::size_t count : {trace.barriers()[0], last_write}) {
    for (const auto& more : {trace.subsets(count, 30), trace.torn(count, 30)}) {
      states.insert(states.end(), more.begin(), more.end());
    }
  }
  unsigned finished = 0;
  for (const CrashState& state : states) {
    SCOPED_TRACE(state.describe().substr(0, 300));
    OverlayDevice crashed(*base);
    trace.build(state, crashed);
    const repair::ReplayOutcome outcome = repair::replay(crashed, {.write = true});
    EXPECT_TRUE(outcome.was_clean() || outcome.written);
    if (outcome.written) ++finished;
    expect_same_but_for_the_log(whole, crashed, editor.geometry());
    const fsck::CheckResult check = fsck::check_filesystem(crashed, {});
    EXPECT_FALSE(check.findings.has_problems());
  }
  EXPECT_GT(finished, states.size() / 2);
  std::cout << states.size() << " states, " << finished << " finished\n";
}

}  // namespace
}  // namespace xdax::test
