#include "libfs/base/uuid.h"

#include <gtest/gtest.h>

#include <set>

namespace xdax {
namespace {

constexpr const char* kText = "01234567-89ab-cdef-0123-456789abcdef";

TEST(Uuid, KeepsTheOrderOfItsText) {
  const auto uuid = Uuid::parse(kText);
  ASSERT_TRUE(uuid);
  EXPECT_EQ(uuid->bytes[0], 0x01);
  EXPECT_EQ(uuid->bytes[4], 0x89);
  EXPECT_EQ(uuid->bytes[15], 0xef);
  EXPECT_EQ(uuid->to_string(), kText);
  EXPECT_FALSE(uuid->is_nil());
}

TEST(Uuid, TakesEitherCaseAndWritesLower) {
  EXPECT_EQ(Uuid::parse("01234567-89AB-CDEF-0123-456789ABCDEF"), Uuid::parse(kText));
}

TEST(Uuid, RefusesEverythingElse) {
  for (const char* text : {"", "x", "01234567-89ab-cdef-0123-456789abcde", "01234567-89ab-cdef-0123-456789abcdef0",
                           "0123456789abcdef0123456789abcdef", "01234567-89ab-cdef-0123-456789abcdeg",
                           "{01234567-89ab-cdef-0123-456789abcdef}", " 01234567-89ab-cdef-0123-456789abcdef",
                           "01234567_89ab_cdef_0123_456789abcdef"}) {
    EXPECT_FALSE(Uuid::parse(text)) << text;
  }
  EXPECT_FALSE(Uuid::parse(std::string_view("01234567-89ab-cdef-0123-456789abcdef\0more", 41)));
}

TEST(Uuid, NilIsAllZeros) {
  EXPECT_TRUE(Uuid{}.is_nil());
  EXPECT_EQ(Uuid{}.to_string(), "00000000-0000-0000-0000-000000000000");
}

TEST(Uuid, RandomOnesAreOfVersionFourAndDiffer) {
  std::set<std::string> seen;
  for (int i = 0; i < 64; ++i) {
    const Uuid uuid = Uuid::random();
    EXPECT_EQ(uuid.bytes[6] >> 4, 4);
    EXPECT_EQ(uuid.bytes[8] >> 6, 2);
    seen.insert(uuid.to_string());
  }
  EXPECT_EQ(seen.size(), 64u);
}

}  // namespace
}  // namespace xdax
