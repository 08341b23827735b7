#include "libfs/cli/parse_size.h"

#include <gtest/gtest.h>

#include <limits>

namespace xdax::cli {
namespace {

constexpr std::uint64_t kMax = std::numeric_limits<std::uint64_t>::max();
constexpr SizeUnits kUnits{.block_bytes = 4096, .sector_bytes = 512};

struct Case {
  const char* text;
  std::uint64_t bytes;
};

TEST(ParseSize, TakesNumbersAndSuffixes) {
  const Case cases[] = {
      {"0", 0},
      {"1", 1},
      {"4096", 4096},
      {"1s", 512},
      {"3S", 1536},
      {"2b", 8192},
      {"2B", 8192},
      {"1k", 1024},
      {"1K", 1024},
      {"16m", 16ull << 20},
      {"300M", 300ull << 20},
      {"2g", 2ull << 30},
      {"5t", 5ull << 40},
      {"1p", 1ull << 50},
      {"7e", 7ull << 60},
      {"15E", 15ull << 60},
      {"0e", 0},
      {"0x10", 16},
      {"0X10", 16},
      {"0x10k", 16384},
      {"0x1b", 27},  // a digit, not blocks
      {"0xe", 14},   // a digit, not exbibytes
      {"0xFFm", 255ull << 20},
      {"18446744073709551615", kMax},
      {"0xffffffffffffffff", kMax},
      {"18014398509481983k", kMax - 1023},
  };
  for (const Case& test : cases) {
    const auto result = parse_size(test.text, kUnits);
    ASSERT_TRUE(result) << test.text << ": " << result.error();
    EXPECT_EQ(*result, test.bytes) << test.text;
  }
}

TEST(ParseSize, RefusesEverythingElse) {
  for (const char* text : {"",
                           " ",
                           "k",
                           "-1",
                           "+1",
                           " 1",
                           "1 ",
                           "1kk",
                           "1kb",
                           "1k ",
                           "1.5g",
                           "1,5g",
                           "0x",
                           "0xg",
                           "x10",
                           "010",
                           "00",
                           "08k",
                           "1z",
                           "1\n",
                           "ten",
                           "1e3",
                           "18446744073709551616",
                           "16e",
                           "18014398509481984k",
                           "0x10000000000000000",
                           "99999999999999999999999s",
                           "0x-1",
                           "0b1"}) {
    const auto result = parse_size(text, kUnits);
    ASSERT_FALSE(result) << "'" << text << "' gave " << *result;
    EXPECT_FALSE(result.error().empty()) << text;
  }
}

TEST(ParseSize, RefusesUnitsThatAreNotKnownYet) {
  EXPECT_FALSE(parse_size("1b"));
  EXPECT_FALSE(parse_size("1b", {.block_bytes = 0, .sector_bytes = 512}));
  EXPECT_FALSE(parse_size("1s", {.block_bytes = 4096, .sector_bytes = 0}));
  EXPECT_NE(parse_size("1b").error().find("block size"), std::string::npos);
  EXPECT_EQ(parse_size("1s"), 512u);
  EXPECT_EQ(parse_size("1s", {.block_bytes = 0, .sector_bytes = 4096}), 4096u);
}

TEST(ParseSize, CannotOverflowThroughItsUnits) {
  EXPECT_FALSE(parse_size("9223372036854775808s", kUnits));
  EXPECT_FALSE(parse_size("4503599627370496b", kUnits));
  EXPECT_EQ(parse_size("4503599627370495b", kUnits), 4503599627370495ull * 4096);
}

TEST(ParseCount, TakesPlainNumbersOnly) {
  EXPECT_EQ(parse_count("4"), 4u);
  EXPECT_EQ(parse_count("0x20"), 32u);
  for (const char* text : {"", "4k", "-4", "4.0", "04", "four"}) EXPECT_FALSE(parse_count(text)) << text;
}

TEST(ParseSwitch, IsZeroOrOne) {
  EXPECT_EQ(parse_switch("1"), true);
  EXPECT_EQ(parse_switch("0"), false);
  for (const char* text : {"", "2", "01", "yes", "true", "-1"}) EXPECT_FALSE(parse_switch(text)) << text;
}

TEST(FormatSize, IsShortExactAndReadBack) {
  EXPECT_EQ(format_size(0), "0");
  EXPECT_EQ(format_size(1000), "1000");
  EXPECT_EQ(format_size(4096), "4k");
  EXPECT_EQ(format_size(300ull << 20), "300m");
  EXPECT_EQ(format_size(1ull << 60), "1e");
  for (const std::uint64_t size :
       {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{1536}, std::uint64_t{1} << 63, kMax}) {
    EXPECT_EQ(parse_size(format_size(size)), size);
  }
}

}  // namespace
}  // namespace xdax::cli
