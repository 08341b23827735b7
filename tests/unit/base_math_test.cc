#include "libfs/base/math.h"

#include <gtest/gtest.h>

#include <limits>

namespace xdax {
namespace {

constexpr std::uint64_t kMax = std::numeric_limits<std::uint64_t>::max();

TEST(Math, DivCeilRoundsUpWithoutOverflow) {
  EXPECT_EQ(div_ceil(0u, 8u), 0u);
  EXPECT_EQ(div_ceil(1u, 8u), 1u);
  EXPECT_EQ(div_ceil(8u, 8u), 1u);
  EXPECT_EQ(div_ceil(9u, 8u), 2u);
  EXPECT_EQ(div_ceil(kMax, 1u), kMax);
  EXPECT_EQ(div_ceil(kMax, 2u), kMax / 2 + 1);
  EXPECT_EQ(div_ceil(kMax, kMax), 1u);
}

TEST(Math, RoundsToMultiplesThatNeedNotBePowersOfTwo) {
  EXPECT_EQ(round_up(0u, 3u), 0u);
  EXPECT_EQ(round_up(1u, 3u), 3u);
  EXPECT_EQ(round_up(3u, 3u), 3u);
  EXPECT_EQ(round_down(5u, 3u), 3u);
  EXPECT_EQ(round_down(6u, 3u), 6u);
  EXPECT_EQ(round_up(kMax - 4095, std::uint64_t{4096}), kMax - 4095);
  EXPECT_EQ(round_down(kMax, std::uint64_t{4096}), kMax - 4095);
}

TEST(Math, LogarithmsBracketTheirValue) {
  EXPECT_EQ(floor_log2(0), 0u);
  EXPECT_EQ(ceil_log2(0), 0u);
  EXPECT_EQ(ceil_log2(kMax), 64u);
  for (unsigned exponent = 0; exponent < 64; ++exponent) {
    const std::uint64_t power = std::uint64_t{1} << exponent;
    EXPECT_EQ(floor_log2(power), exponent);
    EXPECT_EQ(ceil_log2(power), exponent);
    if (exponent > 1) {
      EXPECT_EQ(floor_log2(power - 1), exponent - 1);
      EXPECT_EQ(ceil_log2(power - 1), exponent);
      EXPECT_EQ(ceil_log2(power + 1), exponent + 1);
    }
  }
}

TEST(Math, RangeFitsCannotBeFooledByOverflow) {
  EXPECT_TRUE(range_fits(0, 0, 0));
  EXPECT_TRUE(range_fits(0, 10, 10));
  EXPECT_TRUE(range_fits(10, 0, 10));
  EXPECT_FALSE(range_fits(10, 1, 10));
  EXPECT_FALSE(range_fits(11, 0, 10));
  EXPECT_FALSE(range_fits(5, kMax, 10));
  EXPECT_FALSE(range_fits(kMax, 1, kMax));
  EXPECT_TRUE(range_fits(kMax - 1, 1, kMax));
}

}  // namespace
}  // namespace xdax
