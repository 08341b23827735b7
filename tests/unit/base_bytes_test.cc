#include "libfs/base/bytes.h"

#include <gtest/gtest.h>

#include <array>
#include <limits>
#include <vector>

#include "libfs/base/endian.h"

namespace xdax {
namespace {

TEST(Bytes, AViewMayEndWhereTheBufferEnds) {
  std::array<std::byte, 8> bytes{};
  mutable_view<be32>(bytes, 4) = 7;
  EXPECT_EQ(view<be32>(bytes, 4), 7u);
  EXPECT_EQ(view<be64>(bytes), 7u);
}

TEST(Bytes, AnArrayMayFillTheBufferOrBeEmpty) {
  std::array<std::byte, 8> bytes{};
  const auto fields = mutable_view_array<be16>(bytes, 2, 3);
  ASSERT_EQ(fields.size(), 3u);
  fields[2] = 9;
  EXPECT_EQ(view_array<be16>(bytes, 0, 4)[3], 9);
  EXPECT_TRUE(view_array<be16>(bytes, 8, 0).empty());
}

TEST(BytesDeathTest, AViewOutsideTheBufferIsAProgrammersMistake) {
  std::array<std::byte, 8> bytes{};
  const std::size_t huge = std::numeric_limits<std::size_t>::max();
  EXPECT_DEATH((void)view<be32>(bytes, 5), "internal error");
  EXPECT_DEATH((void)view<be32>(bytes, 9), "internal error");
  EXPECT_DEATH((void)view<be32>(bytes, huge), "internal error");
  EXPECT_DEATH((void)mutable_view<be64>(bytes, 1), "internal error");
  EXPECT_DEATH((void)view_array<be16>(bytes, 2, 4), "internal error");
  EXPECT_DEATH((void)view_array<be16>(bytes, 0, huge / 2 + 2), "internal error");
  EXPECT_DEATH((void)mutable_view_array<be16>(bytes, 9, 0), "internal error");
}

TEST(Bytes, AllZeroSeesOneBitAnywhere) {
  for (const std::size_t size : {1u, 2u, 7u, 64u, 4096u}) {
    std::vector<std::byte> bytes(size);
    EXPECT_TRUE(all_zero(bytes)) << size;
    for (std::size_t i = 0; i < size; ++i) {
      bytes[i] = std::byte{0x80};
      EXPECT_FALSE(all_zero(bytes)) << size << " " << i;
      bytes[i] = std::byte{0};
    }
  }
  EXPECT_TRUE(all_zero({}));
}

}  // namespace
}  // namespace xdax
