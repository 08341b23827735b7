// Random option sets: what mkfs.xdax -N and mkfs.xfs -N say of them must be the same text, or both refuse.
//
// Known differences, each recognised and nothing else:
//  - a log that would leave its group without room for a free list is made shorter here;
//  - a group size rounded up to the stripe may pass the end of a single group: mkfs.xfs refuses, mkfs.xdax keeps it.
#include <gtest/gtest.h>

#include <fmt/format.h>

#include <filesystem>
#include <random>
#include <sstream>

#include "tests/support/oracle.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace xdax::test {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMiB = 1ull << 20;
constexpr std::uint64_t kGiB = 1ull << 30;
constexpr std::uint64_t kTiB = 1ull << 40;

class OptionDice {
 public:
  explicit OptionDice(std::uint64_t seed) : random_(seed) {}

  std::uint64_t size_bytes() {
    if (chance(30)) return between(20, 5000) * kMiB + pick<std::uint64_t>({0, 512, 4096, 7 * 4096, 65536});
    return pick<std::uint64_t>({16 * kMiB,  17 * kMiB,  32 * kMiB,  47 * kMiB,  64 * kMiB,  100 * kMiB, 128 * kMiB,
                                200 * kMiB, 299 * kMiB, 300 * kMiB, 301 * kMiB, 511 * kMiB, 512 * kMiB, 700 * kMiB,
                                kGiB,       2 * kGiB,   5 * kGiB,   8 * kGiB,   9 * kGiB,   100 * kGiB, 333 * kGiB,
                                513 * kGiB, 999 * kGiB, kTiB,       3 * kTiB,   4 * kTiB,   5 * kTiB,   31 * kTiB,
                                32 * kTiB,  33 * kTiB,  50 * kTiB,  60 * kTiB,  900 * kTiB, 1024 * kTiB});
  }

  std::vector<std::string> options() {
    std::vector<std::string> argv;
    const auto add = [&](const char* letter, const std::string& text) {
      argv.emplace_back(letter);
      argv.push_back(text);
    };
    std::uint64_t block = 4096;
    if (chance(70))
      add("-b", fmt::format("size={}", block = pick<std::uint64_t>({1024, 2048, 4096, 8192, 16384, 32768, 65536})));
    if (chance(20)) add("-s", fmt::format("size={}", pick<int>({512, 1024, 4096})));
    if (chance(30)) add("-i", fmt::format("size={}", pick<int>({512, 1024, 2048})));
    if (chance(20)) add("-i", fmt::format("sparse={}", between(0, 1)));
    if (chance(10)) add("-i", fmt::format("maxpct={}", pick<int>({5, 50})));
    if (chance(20)) add("-n", fmt::format("size={}", pick<int>({4096, 8192, 65536})));
    if (chance(25)) {
      add("-d", fmt::format("agcount={}", pick<int>({1, 2, 3, 5, 8, 17, 64, 1000})));
    } else if (chance(15)) {
      add("-d", fmt::format("agsize={}m", pick<int>({16, 17, 64, 100, 1000, 100000})));
    }
    if (chance(30)) {
      add("-d", fmt::format("su={},sw={}", pick<std::uint64_t>({block, 4 * block, 65536, 131072, 2097152, 1048576}),
                            pick<int>({1, 2, 3, 4, 8})));
    }
    if (chance(20)) add("-l", fmt::format("su={}", pick<std::uint64_t>({block, 2 * block, 32768, 65536, 262144})));
    if (chance(20)) add("-l", fmt::format("size={}m", pick<int>({4, 10, 64, 65, 128, 500, 1000, 2035})));
    if (chance(10)) add("-l", fmt::format("agnum={}", pick<int>({0, 1, 3})));
    const bool finobt = chance(75);
    add("-m", fmt::format("finobt={:d},inobtcount={:d},rmapbt={},reflink={},bigtime={}", finobt, finobt && chance(50),
                          between(0, 1), between(0, 1), between(0, 1)));
    add("-i", fmt::format("nrext64={}", between(0, 1)));
    return argv;
  }

 private:
  std::uint64_t between(std::uint64_t low, std::uint64_t high) {
    return std::uniform_int_distribution<std::uint64_t>(low, high)(random_);
  }
  bool chance(unsigned percent) { return between(0, 99) < percent; }
  template <class T>
  T pick(std::initializer_list<T> from) {
    return *(from.begin() + static_cast<std::ptrdiff_t>(between(0, from.size() - 1)));
  }

  std::mt19937_64 random_;
};

std::string geometry_lines(const std::string& output) {
  std::istringstream stream(output);
  std::string lines;
  for (std::string line; std::getline(stream, line);) {
    if (line.find('=') != std::string::npos) lines += line + "\n";
  }
  return lines;
}

std::uint64_t number_behind(const std::string& text, const std::string& key) {
  const auto at = text.find(key);
  return at == std::string::npos ? 0 : std::stoull(text.substr(at + key.size()));
}

struct LogFacts {
  std::uint64_t log_blocks;
  std::uint64_t ag_blocks;
  std::string rest;  // everything but the log's length
};
LogFacts log_facts(const std::string& text) {
  const auto line = text.find("log      =");
  const auto at = text.find("blocks=", line);
  return {number_behind(text.substr(line), "blocks="), number_behind(text, "agsize="),
          text.substr(0, at) + text.substr(text.find(',', at))};
}

// The log fills its group so that mkfs.xfs leaves less than a free list and a stripe unit.
bool only_a_shorter_log(const std::string& mine, const std::string& theirs) {
  const LogFacts own = log_facts(mine);
  const LogFacts reference = log_facts(theirs);
  constexpr std::uint64_t kFixedAndFreeList = 7 + 6 + 4;
  const std::uint64_t unit = std::max<std::uint64_t>({1, reference.log_blocks - own.log_blocks});
  return own.rest == reference.rest && own.log_blocks < reference.log_blocks &&
         reference.log_blocks + kFixedAndFreeList + 2 * unit >= reference.ag_blocks;
}

class RandomGeometry : public ::testing::TestWithParam<std::uint64_t> {};

TEST_P(RandomGeometry, IsThatOfMkfsXfs) {
  XDAX_NEED_XFSPROGS();
  constexpr int kSetsPerSeed = 60;
  const TempDir dir(memory_temp_parent());
  OptionDice dice(GetParam());
  int compared = 0;
  for (int i = 0; i < kSetsPerSeed; ++i) {
    const fs::path image = dir.sparse_file("image", dice.size_bytes());
    const std::vector<std::string> options = dice.options();
    std::vector<std::string> own = {program_path("mkfs.xdax"), "--allow-tiny", "-N"};
    std::vector<std::string> reference = {"mkfs.xfs", "--unsupported", "-N"};
    for (auto* argv : {&own, &reference}) {
      argv->insert(argv->end(), options.begin(), options.end());
      argv->push_back(image);
    }
    const ProcessResult mine = run(own);
    const ProcessResult theirs = run(reference);
    SCOPED_TRACE(fmt::format("seed {} set {} size {}: {}", GetParam(), i, fs::file_size(image), mine.command));
    if (theirs.err.find("too big, data area is") != std::string::npos) continue;  // a single group rounded past the end
    EXPECT_EQ(mine.ok(), theirs.ok()) << mine.describe() << theirs.describe().substr(0, 600);
    if (!mine.ok()) {
      EXPECT_EQ(std::count(mine.err.begin(), mine.err.end(), '\n'), 1) << mine.err;
      continue;
    }
    ++compared;
    const std::string own_text = geometry_lines(mine.out);
    const std::string reference_text = geometry_lines(theirs.out);
    if (own_text != reference_text && only_a_shorter_log(own_text, reference_text)) continue;
    EXPECT_EQ(own_text, reference_text);
  }
  EXPECT_GT(compared, kSetsPerSeed / 4) << "the dice make too few sets that both accept";
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomGeometry, ::testing::Range<std::uint64_t>(1, 7));

}  // namespace
}  // namespace xdax::test
