// The options of mkfs.xdax: what they fill in, and that every bad one is refused in one line that says what would be
// right.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "libfs/base/error.h"
#include "mkfs/configuration.h"
#include "mkfs/plan.h"
#include "mkfs/suboptions.h"
#include "tests/support/temp_dir.h"

namespace xdax::mkfs {
namespace {

using ::testing::HasSubstr;

constexpr std::uint64_t kMiB = 1ull << 20;
constexpr std::uint64_t kGiB = 1ull << 30;

using Lists = std::vector<std::pair<char, std::string>>;

FormatRequest request_of(const Lists& lists) {
  GivenOptions given;
  std::map<char, std::vector<std::string>> groups;
  for (const auto& [group, list] : lists) groups[group].push_back(list);
  for (const auto& [group, all] : groups) add_command_line_lists(given, group, all);
  FormatRequest request;
  apply_given_options(given, request);
  return request;
}

Plan plan_of(const Lists& lists, std::uint64_t device_bytes = kGiB) {
  return make_plan(request_of(lists), {.size_bytes = device_bytes});
}

std::string refusal_of(const Lists& lists, std::uint64_t device_bytes = kGiB) {
  try {
    static_cast<void>(plan_of(lists, device_bytes));
  } catch (const RefusalError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(MkfsOptions, SizesTakeBlockAndSectorSuffixes) {
  const FormatRequest request =
      request_of({{'d', "size=1000b,agsize=64m"}, {'b', "size=8k"}, {'l', "size=2000s"}, {'s', "size=4096"}});
  EXPECT_EQ(request.block_bytes, 8192u);
  EXPECT_EQ(request.data_bytes, 8192000u);
  EXPECT_EQ(request.ag_bytes, 64 * kMiB);
  EXPECT_EQ(request.log_bytes, 2000u * 4096u);
}

TEST(MkfsOptions, OlderUnitsMeanBasicBlocks) {
  const FormatRequest request = request_of({{'d', "sunit=128,swidth=512"}, {'l', "sunit=64"}});
  EXPECT_EQ(request.stripe_unit_bytes, 65536u);
  EXPECT_EQ(request.stripe_width_bytes, 262144u);
  EXPECT_EQ(request.log_stripe_bytes, 32768u);
}

TEST(MkfsOptions, FlagsNeedNoValue) {
  EXPECT_TRUE(request_of({{'d', "noalign"}}).no_align);
  EXPECT_FALSE(request_of({{'d', "noalign=0"}}).no_align);
  EXPECT_EQ(request_of({{'i', "sparse"}}).sparse, true);
}

TEST(MkfsOptions, TheSameTwiceIsFine) { EXPECT_EQ(request_of({{'d', "agcount=4"}, {'d', "agcount=4"}}).ag_count, 4u); }

struct BadOption {
  Lists lists;
  const char* says;
};
std::ostream& operator<<(std::ostream& stream, const BadOption& each) { return stream << each.says; }

class MkfsBadOption : public ::testing::TestWithParam<BadOption> {};

TEST_P(MkfsBadOption, IsRefusedInOneLine) {
  const std::string text = refusal_of(GetParam().lists);
  EXPECT_THAT(text, HasSubstr(GetParam().says));
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 0);
}

INSTANTIATE_TEST_SUITE_P(
    All, MkfsBadOption,
    ::testing::Values(
        BadOption{{{'b', "size=3000"}}, "-b size=3000: out of range; give a value a power of two from 1k to 64k"},
        BadOption{{{'b', "size=512"}}, "from 1k to 64k"}, BadOption{{{'b', "size=128k"}}, "from 1k to 64k"},
        BadOption{{{'b', "size="}}, "-b size: needs a value"}, BadOption{{{'b', "size"}}, "-b size: needs a value"},
        BadOption{{{'b', "size=4x"}}, "-b size=4x"}, BadOption{{{'b', "4096"}}, "no such suboption"},
        BadOption{{{'b', "size=4096"}, {'b', "size=1024"}}, "-b"}, BadOption{{{'d', "agcount=0"}}, "from 1 to"},
        BadOption{{{'d', "agcount=4,agsize=64m"}}, "exclude each other"},
        BadOption{{{'d', "agcount=65"}}, "ask for at most 64 groups"},
        BadOption{{{'d', "agsize=10m"}}, "from 16m to 1t"},
        BadOption{{{'d', "agsize=16777217"}},
                  "-d agsize=16777217: not a multiple of the block size 4096; 16781312 would be"},
        BadOption{{{'d', "agsize=2g"}}, "larger than the filesystem"},
        BadOption{{{'d', "size=2g"}}, "the device holds only 1073741824 bytes"},
        BadOption{{{'d', "size=1000001"}}, "not a multiple of the block size"},
        BadOption{{{'d', "size=200m"}}, "give --allow-tiny"}, BadOption{{{'d', "size=8m"}}, "the least is 16m"},
        BadOption{{{'d', "su=64k"}}, "give su and sw"}, BadOption{{{'d', "sw=4"}}, "give su and sw"},
        BadOption{{{'d', "su=64k,sw=2,sunit=128"}}, "exclude each other"},
        BadOption{{{'d', "su=3000,sw=2"}}, "multiple of the sector size"},
        BadOption{{{'d', "su=2048,sw=2"}}, "multiple of the block size"},
        BadOption{{{'d', "su=64k,sw=0"}}, "not a multiple of the unit"},
        BadOption{{{'d', "sunit=128,swidth=130"}}, "not a multiple of the unit"},
        BadOption{{{'d', "su=64k,sw=4294967295"}}, "beyond what the format can say"},
        BadOption{{{'d', "noalign,su=64k,sw=1"}}, "exclude each other"},
        BadOption{{{'d', "rtinherit=1"}}, "realtime devices are not supported"},
        BadOption{{{'d', "extszinherit=3000000"}}, "longer than an extent can be"},
        BadOption{{{'d', "cowextsize=16"}, {'m', "reflink=0"}}, "means nothing without reflink"},
        BadOption{{{'d', "sectsize=1024"}, {'s', "size=512"}}, "both set the sector size"},
        BadOption{{{'d', "agcuont=4"}}, "-d agcuont: no such suboption; -d takes size, agcount"},
        BadOption{{{'i', "size=256"}}, "from 512 to 2k"}, BadOption{{{'i', "size=4096"}}, "from 512 to 2k"},
        BadOption{{{'i', "size=1024"}, {'b', "size=1024"}}, "give a size from 512 to 512"},
        BadOption{{{'i', "size=512,perblock=8"}}, "exclude each other"},
        BadOption{{{'i', "perblock=3"}}, "give a power of two"},
        BadOption{{{'i', "perblock=16"}}, "give a size from 512 to 2048"},
        BadOption{{{'i', "maxpct=101"}}, "from 0 to 100"}, BadOption{{{'i', "attr=1"}}, "always 2"},
        BadOption{{{'i', "align=0"}}, "always on"}, BadOption{{{'i', "projid32bit=0"}}, "always on"},
        BadOption{{{'i', "sparse=2"}}, "give 0 or 1"}, BadOption{{{'l', "size=100"}}, "not a multiple of"},
        BadOption{{{'l', "size=2000b"}}, "needs at least"}, BadOption{{{'l', "size=600m"}}, "has room for"},
        BadOption{{{'l', "size=3g"}}, "-l size=3g: out of range"},
        BadOption{{{'l', "agnum=7"}}, "there are only 4 groups"}, BadOption{{{'l', "agnum=4294967296"}}, "-l agnum"},
        BadOption{{{'l', "su=3k"}}, "multiple of the block size"}, BadOption{{{'l', "su=1m"}}, "from 0 to 256k"},
        BadOption{{{'l', "su=32k,sunit=64"}}, "exclude each other"},
        BadOption{{{'l', "su=32k,size=65540k"}}, "the log's stripe unit"}, BadOption{{{'l', "version=1"}}, "always 2"},
        BadOption{{{'l', "lazy-count=0"}}, "always on"},
        BadOption{{{'l', "internal=0"}}, "external logs are not supported"},
        BadOption{{{'l', "logdev=/dev/x"}}, "external logs are not supported"},
        BadOption{{{'l', "sectsize=4096"}}, "give -s size=4096 for both"},
        BadOption{{{'m', "crc=0"}}, "only version 5 filesystems"}, BadOption{{{'m', "uuid=1234"}}, "not a uuid"},
        BadOption{{{'m', "uuid=00000000-0000-0000-0000-000000000000"}}, "not a uuid"},
        BadOption{{{'m', "finobt=0,inobtcount=1"}}, "needs finobt"},
        BadOption{{{'m', "rmapbt"}}, "-m rmapbt: needs a value"}, BadOption{{{'n', "size=2048"}}, "from 4k to 64k"},
        BadOption{{{'n', "size=4096"}, {'b', "size=16k"}}, "give at least a block"},
        BadOption{{{'n', "version=3"}}, "give 2, or ci"}, BadOption{{{'n', "ftype=0"}}, "always on"},
        BadOption{{{'s', "size=256"}}, "from 512 to 32k"},
        BadOption{{{'s', "size=8192"}}, "larger than the block size"}));

TEST(MkfsPlan, SectorsFollowTheDevice) {
  const Plan plan = make_plan({}, {.size_bytes = kGiB, .sector_bytes = 512, .physical_sector_bytes = 4096});
  EXPECT_EQ(plan.superblock.sectsize, 4096u);
  FormatRequest small;
  small.sector_bytes = 512;
  EXPECT_THROW(
      static_cast<void>(make_plan(small, {.size_bytes = kGiB, .sector_bytes = 4096, .physical_sector_bytes = 4096})),
      RefusalError);
  FormatRequest blocks;
  blocks.block_bytes = 1024;
  EXPECT_THROW(
      static_cast<void>(make_plan(blocks, {.size_bytes = kGiB, .sector_bytes = 4096, .physical_sector_bytes = 4096})),
      RefusalError);
}

TEST(MkfsPlan, StripeOfTheDeviceIsUsedWhenItFits) {
  const Plan plan = make_plan({}, {.size_bytes = 4 * kGiB, .minimum_io_bytes = 65536, .optimal_io_bytes = 262144});
  EXPECT_EQ(plan.superblock.unit, 16u);
  EXPECT_EQ(plan.superblock.width, 64u);
  const Plan odd = make_plan({}, {.size_bytes = 4 * kGiB, .minimum_io_bytes = 65536, .optimal_io_bytes = 100000});
  EXPECT_EQ(odd.superblock.unit, 0u);
  EXPECT_EQ(odd.notes.size(), 1u);
}

TEST(MkfsPlan, DaxIsOneWordForAlignmentHintAndFlag) {
  FormatRequest request;
  request.dax = true;
  const Plan plan = make_plan(request, {.size_bytes = 4 * kGiB});
  EXPECT_EQ(plan.superblock.unit, 512u);
  EXPECT_EQ(plan.superblock.width, 512u);
  EXPECT_EQ(plan.superblock.agblocks % 512, 0u);
  EXPECT_EQ(plan.root.extent_size_blocks, 512u);
  EXPECT_TRUE(plan.root.dax);
  request.block_bytes = 1024;
  EXPECT_THROW(static_cast<void>(make_plan(request, {.size_bytes = 4 * kGiB})), RefusalError);
}

TEST(MkfsPlan, DefaultsAreTheCurrentFeatures) {
  const Features features = plan_of({}).superblock.features();
  EXPECT_TRUE(features.finobt() && features.rmapbt() && features.reflink() && features.inobtcount());
  EXPECT_TRUE(features.sparse() && features.bigtime() && features.nrext64() && features.ftype());
  EXPECT_FALSE(features.parent() || features.exchange() || features.metauuid() || features.needsrepair());
}

class MkfsConfiguration : public ::testing::Test {
 protected:
  std::string write(const std::string& text) {
    std::ofstream(dir_.path("options.conf")) << text;
    return dir_.path("options.conf");
  }
  test::TempDir dir_;
};

TEST_F(MkfsConfiguration, FillsEveryGroup) {
  GivenOptions given;
  read_configuration(
      write("# comment\n[block]\nsize=8k\n[data]\nagcount=3\n[metadata]\nrmapbt=0\n[naming]\nparent=1\n"), given);
  FormatRequest request;
  apply_given_options(given, request);
  EXPECT_EQ(request.block_bytes, 8192u);
  EXPECT_EQ(request.ag_count, 3u);
  EXPECT_EQ(request.rmapbt, false);
  EXPECT_EQ(request.parent, true);
}

TEST_F(MkfsConfiguration, MayRepeatTheCommandLineButNotContradictIt) {
  GivenOptions given;
  add_command_line_lists(given, 'd', {"agcount=4"});
  read_configuration(write("[data]\nagcount=4\n"), given);
  try {
    read_configuration(write("[data]\nagcount=5\n"), given);
    FAIL() << "accepted";
  } catch (const RefusalError& error) {
    EXPECT_THAT(error.what(), HasSubstr("-d agcount and [data] agcount in"));
  }
}

TEST_F(MkfsConfiguration, BadFilesAreRefusedByName) {
  const auto refusal = [&](const std::string& text) -> std::string {
    GivenOptions given;
    try {
      read_configuration(write(text), given);
      FormatRequest request;
      apply_given_options(given, request);
    } catch (const RefusalError& error) {
      return error.what();
    }
    return "accepted";
  };
  EXPECT_THAT(refusal("[dta]\nagcount=4\n"), HasSubstr("no such section"));
  EXPECT_THAT(refusal("[data]\nagcuont=4\n"), HasSubstr("[data] agcuont in"));
  EXPECT_THAT(refusal("[data]\nagcount=four\n"), HasSubstr("[data] agcount in"));
  EXPECT_THAT(refusal("[data\nagcount=4\n"), HasSubstr("no such section"));
  EXPECT_THAT(refusal("[data]\nnothing\n"), HasSubstr("line 2"));
  GivenOptions given;
  EXPECT_THROW(read_configuration(dir_.path("missing"), given), RefusalError);
}

}  // namespace
}  // namespace xdax::mkfs
