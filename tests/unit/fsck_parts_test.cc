// The parts of the checker that need no filesystem: the table, lists of findings, intervals, claims, the command line
// and the reports.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cctype>
#include <nlohmann/json.hpp>
#include <random>
#include <set>

#include "fsck/block_reader.h"
#include "fsck/block_set.h"
#include "fsck/claims.h"
#include "fsck/file_view.h"
#include "fsck/finding.h"
#include "fsck/flaw_findings.h"
#include "fsck/intervals.h"
#include "fsck/least_keys.h"
#include "fsck/options.h"
#include "fsck/problems.h"
#include "fsck/report.h"
#include "libfs/device/fault_device.h"
#include "libfs/device/memory_device.h"
#include "libfs/format/btree_records.h"

namespace xdax::fsck {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(FsckTable, IdsAreUniqueAndOfOneForm) {
  std::set<std::string> ids;
  for (const ProblemRow& row : kProblems) {
    EXPECT_TRUE(ids.insert(row.id).second) << row.id;
    const std::string id = row.id;
    EXPECT_EQ(std::count(id.begin(), id.end(), '.'), 1) << id;
    for (const char c : id) EXPECT_TRUE(std::islower(static_cast<unsigned char>(c)) || c == '.' || c == '_') << id;
    EXPECT_STRNE(row.text, "");
    EXPECT_EQ(find_problem(row.id), row.problem);
    EXPECT_EQ(row_of(row.problem).id, row.id);
  }
  EXPECT_EQ(find_problem("no.such"), std::nullopt);
}

TEST(FsckTable, FlawsFindTheirRows) {
  EXPECT_EQ(problem_of({.kind = FlawKind::kChecksum, .field = "agf.crc"}), Problem::kAgfChecksum);
  EXPECT_EQ(problem_of({.kind = FlawKind::kSelfAddress, .field = "btree.blkno"}), Problem::kBtreeSelfAddress);
  EXPECT_EQ(problem_of({.kind = FlawKind::kRange, .field = "sb.agcount"}, "copy"), Problem::kCopyRange);
  EXPECT_EQ(problem_of({.kind = FlawKind::kVersion, .field = "btree.blkno"}), Problem::kStructureFlaw);
}

TEST(FindingList, KeepsALimitOfEachAndCountsAll) {
  FindingList list(2);
  for (std::uint32_t i = 0; i < 5; ++i) list.add({.problem = Problem::kAgfMagic, .group = i});
  list.add({.problem = Problem::kSbCopyUsed});
  EXPECT_EQ(list.findings().size(), 3u);
  EXPECT_EQ(list.count(Problem::kAgfMagic), 5u);
  EXPECT_EQ(list.total(), 6u);
  EXPECT_EQ(list.not_kept(), 3u);
  EXPECT_EQ(list.problems(), 5u) << "information is no problem";
}

TEST(FindingList, JoinsInOrderWithinTheLimit) {
  FindingList all(3);
  FindingList first(3);
  FindingList second(3);
  for (std::uint32_t i = 0; i < 2; ++i) first.add({.problem = Problem::kAgfMagic, .group = i});
  for (std::uint32_t i = 2; i < 6; ++i) second.add({.problem = Problem::kAgfMagic, .group = i});
  all.join(std::move(first));
  all.join(std::move(second));
  ASSERT_EQ(all.findings().size(), 3u);
  EXPECT_EQ(all.findings()[2].group, 2u);
  EXPECT_EQ(all.count(Problem::kAgfMagic), 6u);
}

TEST(FindingList, OnlyInformationIsNoProblem) {
  FindingList list;
  list.add({.problem = Problem::kSbCopyUsed});
  EXPECT_FALSE(list.has_problems());
  list.add({.problem = Problem::kRmapUnmerged});
  EXPECT_TRUE(list.has_problems()) << "a warning is one";
}

TEST(BlockSet, HoldsWhatWasInserted) {
  BlockSet set(100000);
  for (const std::uint32_t block : {0u, 1u, 63u, 64u, 32767u, 32768u, 99999u}) {
    EXPECT_TRUE(set.insert(AgBlock(block)));
    EXPECT_FALSE(set.insert(AgBlock(block)));
  }
  EXPECT_TRUE(set.insert(AgBlock(2)));
}

TEST(BlockReader, OneBadSectorCostsOneBlock) {
  Geometry geometry;
  geometry.block_bytes = 1024;
  geometry.block_log = 10;
  geometry.ag_blocks = 100;
  geometry.ag_count = 2;
  MemoryDevice memory({.size_bytes = 200 * 1024});
  for (std::size_t block = 0; block < 200; ++block)
    memory.bytes()[block * 1024] = std::byte{static_cast<std::uint8_t>(block)};
  FaultDevice device(memory, 1);
  device.add_rule({.operation = FaultOperation::kRead, .offset_bytes = 112 * 1024 + 512, .length_bytes = 1});
  BlockReader reader(device, geometry, AgNumber(1));
  const std::vector<AgBlock> blocks = {AgBlock(10), AgBlock(11), AgBlock(12), AgBlock(13), AgBlock(5), AgBlock(99)};
  reader.read(blocks);
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    EXPECT_EQ(static_cast<bool>(reader.error(i)), blocks[i] == AgBlock(12)) << i;
    if (!reader.error(i)) {
      EXPECT_EQ(reader.block(i)[0], std::byte{static_cast<std::uint8_t>(100 + blocks[i].value())});
    }
  }
}

// Reading ahead of what cannot be read is tried once for each window, not for each block.
TEST(ForkReader, ABadStretchIsReadTwiceAtMost) {
  Geometry geometry;
  geometry.block_bytes = 1024;
  geometry.block_log = 10;
  geometry.inode_log = 9;
  geometry.inode_bytes = 512;
  geometry.ag_blocks = 1u << 14;
  geometry.ag_block_log = 14;
  geometry.ag_count = 1;
  geometry.data_blocks = geometry.ag_blocks;
  MemoryDevice memory({.size_bytes = 16ull << 20});
  FaultDevice device(memory, 1);
  constexpr std::uint32_t kBlocks = 4000;
  device.add_rule({.operation = FaultOperation::kRead, .offset_bytes = 100 * 1024, .length_bytes = kBlocks * 1024});
  FindingList findings;
  FileView file(device, geometry, findings);
  file.ino = InodeNumber(64);
  ForkMap map;
  map.extents.push_back(
      {.file_block = FileBlock(0), .start = FsBlock(100), .length_blocks = kBlocks, .unwritten = false});
  ForkReader reader(file, map, "test");
  for (std::uint32_t i = 0; i < kBlocks; ++i) EXPECT_FALSE(reader.read(FileBlock(i), 1));
  std::uint64_t bytes = 0;
  for (const FaultEvent& event : device.faults()) bytes += event.length_bytes;
  EXPECT_LE(bytes, 2ull * kBlocks * 1024);
  EXPECT_EQ(findings.count(Problem::kIoUnreadable), kBlocks);
}

// The comparison against one block at a time.
using Difference = std::tuple<std::uint32_t, std::uint64_t, std::uint64_t>;
std::vector<Difference> by_block(const std::vector<Interval>& left, const std::vector<Interval>& right,
                                 std::uint32_t end) {
  const auto value = [](const std::vector<Interval>& list, std::uint32_t block) -> std::uint64_t {
    for (const Interval& each : list) {
      if (block >= each.start && block < each.end()) return each.value;
    }
    return 0;
  };
  std::vector<Difference> result;
  for (std::uint32_t block = 0; block < end; ++block) {
    if (value(left, block) != value(right, block)) result.emplace_back(block, value(left, block), value(right, block));
  }
  return result;
}

TEST(Intervals, ComparisonIsThatOfSingleBlocks) {
  std::mt19937 random(1);
  const auto make = [&] {
    std::vector<Interval> list;
    for (std::uint32_t at = 0; at < 60;) {
      at += static_cast<std::uint32_t>(random() % 4);
      const auto length = 1 + static_cast<std::uint32_t>(random() % 5);
      list.push_back({at, length, 1 + random() % 2});
      at += length;
    }
    return list;
  };
  for (int i = 0; i < 2000; ++i) {
    const std::vector<Interval> left = make();
    const std::vector<Interval> right = i % 3 == 0 ? std::vector<Interval>() : make();
    std::vector<Difference> found;
    compare_intervals(left, right, [&](std::uint32_t start, std::uint32_t length, std::uint64_t l, std::uint64_t r) {
      for (std::uint32_t block = start; block < start + length; ++block) found.emplace_back(block, l, r);
    });
    EXPECT_EQ(found, by_block(left, right, 100));
  }
}

TEST(Intervals, ComparisonEndsForListsThatOverlap) {
  const std::vector<Interval> bad = {{5, 10, 1}, {7, 2, 1}, {3, 1, 1}, {3, 0, 1}};
  int calls = 0;
  compare_intervals(bad, std::vector<Interval>(), [&](auto...) { ++calls; });
  EXPECT_EQ(calls, 1);
}

TEST(Intervals, MergeOnlyWhatTouchesAndAgrees) {
  std::vector<Interval> list;
  append_merged(list, {1, 2, 9});
  append_merged(list, {3, 1, 9});
  append_merged(list, {4, 1, 8});
  append_merged(list, {6, 1, 8});
  EXPECT_THAT(list, ElementsAre(Interval{1, 3, 9}, Interval{4, 1, 8}, Interval{6, 1, 8}));
}

std::vector<std::string> overlaps(Claims& claims, const std::vector<Interval>& free) {
  FindingList list;
  claims.settle(free, {}, list);
  std::vector<std::string> result;
  for (const Finding& finding : list.findings()) {
    EXPECT_EQ(finding.problem, Problem::kClaimTwice);
    result.push_back(std::to_string(*finding.block) + "+" + std::to_string(finding.length_blocks) + " " +
                     finding.detail);
  }
  return result;
}

// Two sets compared in windows of a few keys are compared as a whole.
TEST(LeastKeys, WindowsShowEveryDifferenceOnceAndInOrder) {
  std::mt19937_64 random(7);
  for (unsigned round = 0; round < 200; ++round) {
    const std::size_t limit = 1 + random() % 9;
    std::vector<std::uint64_t> sides[2];
    for (std::vector<std::uint64_t>& side : sides) {
      const std::uint64_t count = random() % 120;
      for (std::uint64_t i = 0; i < count; ++i) {
        const std::uint64_t key = random() % 60;
        side.push_back(key == 59 ? ~0ull : key);
      }
    }
    using Found = std::vector<std::tuple<std::uint64_t, unsigned, std::uint64_t>>;
    Found expected;
    for (std::uint64_t i = 0; i < 60; ++i) {
      const std::uint64_t key = i == 59 ? ~0ull : i;
      const auto left = static_cast<std::uint64_t>(std::count(sides[0].begin(), sides[0].end(), key));
      const auto right = static_cast<std::uint64_t>(std::count(sides[1].begin(), sides[1].end(), key));
      if (left > right) expected.emplace_back(key, 0u, left - right);
      if (right > left) expected.emplace_back(key, 1u, right - left);
    }
    Found found;
    unsigned windows = 0;
    for (std::uint64_t from = 0, until = 0; until != ~0ull; from = until + 1) {
      ASSERT_LT(++windows, 200u);
      LeastKeys left(from, ~0ull, limit);
      for (const std::uint64_t key : sides[0]) left.add(key);
      const auto& in_left = left.settle();
      LeastKeys right(from, left.until(), limit);
      for (const std::uint64_t key : sides[1]) right.add(key);
      const auto& in_right = right.settle();
      EXPECT_LE(std::max(in_left.size(), in_right.size()), limit);
      until = right.until();
      compare_counts(
          in_left, in_right, until, [&](std::uint64_t key, std::uint64_t times) { found.emplace_back(key, 0u, times); },
          [&](std::uint64_t key, std::uint64_t times) { found.emplace_back(key, 1u, times); });
    }
    EXPECT_EQ(found, expected) << "round " << round;
  }
}

TEST(Claims, OverlapsAreReportedOnce) {
  Claims claims;
  claims.add(Claimant::kLog, {AgBlock(10), 20});
  claims.add(Claimant::kInodes, {AgBlock(15), 2});
  claims.add(Claimant::kHeaders, {AgBlock(0), 4});
  claims.add(Claimant::kBnobt, {AgBlock(40)});
  const std::vector<Interval> free = {{4, 6, 1}, {29, 3, 1}, {40, 1, 1}, {50, 9, 1}};
  EXPECT_THAT(overlaps(claims, free),
              ElementsAre("29+1 by free space and by the log", "15+2 by the log and by inode chunks",
                          "40+1 by free space and by bnobt"));
}

TEST(Claims, ALongClaimMeetsAllThatLieInIt) {
  Claims claims;
  claims.add(Claimant::kLog, {AgBlock(10), 20});
  claims.add(Claimant::kInodes, {AgBlock(12), 1});
  claims.add(Claimant::kBnobt, {AgBlock(25), 1});
  EXPECT_THAT(overlaps(claims, {}), ElementsAre("12+1 by the log and by inode chunks", "25+1 by the log and by bnobt"));
}

TEST(Claims, AreSeenAsTheReverseMapNamesThem) {
  Claims claims;
  claims.add(Claimant::kCntbt, {AgBlock(2)});
  claims.add(Claimant::kBnobt, {AgBlock(1)});
  claims.add(Claimant::kShared, {AgBlock(8), 4});
  claims.add(Claimant::kInodes, {AgBlock(20), 8});
  EXPECT_TRUE(overlaps(claims, {}).empty());
  EXPECT_THAT(claims.reverse_map_view(),
              ElementsAre(Interval{1, 2, rmap::kOwnerAg}, Interval{20, 8, rmap::kOwnerInodes}));
}

ParsedOptions parse(std::vector<const char*> words) {
  words.insert(words.begin(), "fsck.xdax");
  return parse_options(static_cast<int>(words.size()), words.data());
}

TEST(FsckOptions, WhatFsckPassesIsUnderstood) {
  const ParsedOptions plain = parse({"-n", "-f", "-v", "/dev/x"});
  ASSERT_FALSE(plain.exit_status) << plain.message;
  EXPECT_TRUE(plain.options.read_only && plain.options.force && plain.options.verbose);
  EXPECT_THAT(plain.options.devices, ElementsAre("/dev/x"));
  EXPECT_TRUE(parse({"-a", "x"}).options.quick());
  EXPECT_TRUE(parse({"-p", "x"}).options.quick());
  EXPECT_FALSE(parse({"-p", "-f", "x"}).options.quick());
  EXPECT_FALSE(parse({"-y", "x"}).options.quick());
  EXPECT_TRUE(parse({"-nfv", "x"}).options.force);
  EXPECT_FALSE(parse({"-t", "-T", "-M", "-R", "-r", "x"}).exit_status);
  EXPECT_EQ(parse({"--threads", "7", "x"}).options.threads, 7u);
  EXPECT_EQ(parse({"--io=uring", "x"}).options.io, IoChoice::kUring);
  EXPECT_THAT(parse({"-n", "--", "-strange"}).options.devices, ElementsAre("-strange"));
}

TEST(FsckOptions, ProgressTakesANumberBesideOrBehind) {
  EXPECT_EQ(parse({"x"}).options.progress_fd, std::nullopt);
  EXPECT_EQ(parse({"-C", "x"}).options.progress_fd, 0);
  EXPECT_THAT(parse({"-C", "x"}).options.devices, ElementsAre("x"));
  EXPECT_EQ(parse({"-C", "3", "x"}).options.progress_fd, 3);
  EXPECT_EQ(parse({"-C5", "x"}).options.progress_fd, 5);
  EXPECT_EQ(parse({"-nC-4", "x"}).options.progress_fd, -4);
  const ParsedOptions joined = parse({"-fCn", "x"});
  EXPECT_TRUE(joined.options.force && joined.options.read_only);
  EXPECT_EQ(joined.options.progress_fd, 0);
}

TEST(FsckOptions, WrongOnesAreUsageErrors) {
  const std::vector<std::vector<const char*>> wrong = {
      {},          {"-n"},         {"-n", "-y", "x"}, {"-a", "-n", "x"},       {"-p", "-y", "x"},
      {"-Q", "x"}, {"--bad", "x"}, {"--io=no", "x"},  {"--threads", "0", "x"}, {"--threads", "many", "x"}};
  for (const auto& words : wrong) {
    const ParsedOptions parsed = parse(words);
    EXPECT_EQ(parsed.exit_status, 16) << (words.empty() ? "nothing" : words[0]);
    EXPECT_NE(parsed.message, "");
    EXPECT_EQ(parsed.message.find('\n'), std::string::npos) << parsed.message;
  }
  EXPECT_EQ(parse({"-V"}).exit_status, 0);
  EXPECT_EQ(parse({"--help"}).exit_status, 0);
}

TEST(FsckReport, AFindingIsOneLineWhateverItHolds) {
  Finding finding{
      .problem = Problem::kTotalFreeblks, .structure = "agf", .group = 3, .byte = 512, .found = 7, .expected = 9};
  finding.detail = "a\nb\x1b[2J";
  const std::string text = describe(finding);
  EXPECT_THAT(text, HasSubstr("total.freeblks: group 3, agf, byte 512: "));
  EXPECT_THAT(text, HasSubstr("(found 7, expected 9)"));
  EXPECT_EQ(text.find_first_of("\n\x1b"), std::string::npos);
}

TEST(FsckReport, AnErrorIsAlsoJson) {
  const Outcome outcome{.device = "bad\xff name", .error = "it is gone", .exit_status = 8};
  const auto json = nlohmann::json::parse(json_report(outcome));
  EXPECT_EQ(json["schema"], "xdax-fsck");
  EXPECT_EQ(json["version"], 1);
  EXPECT_EQ(json["error"], "it is gone");
  EXPECT_EQ(json["exit_status"], 8);
  EXPECT_EQ(text_report(outcome, true), "");
}

}  // namespace
}  // namespace xdax::fsck
