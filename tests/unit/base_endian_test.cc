#include "libfs/base/endian.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>

#include "libfs/base/bytes.h"

namespace xdax {
namespace {

template <class T>
std::array<std::uint8_t, sizeof(T)> raw(const T& field) {
  std::array<std::uint8_t, sizeof(T)> bytes{};
  std::memcpy(bytes.data(), &field, sizeof(T));
  return bytes;
}

TEST(Endian, BigEndianFieldsLieMostSignificantFirst) {
  EXPECT_EQ(raw(be16(0x0102)), (std::array<std::uint8_t, 2>{1, 2}));
  EXPECT_EQ(raw(be32(0x01020304)), (std::array<std::uint8_t, 4>{1, 2, 3, 4}));
  EXPECT_EQ(raw(be64(0x0102030405060708)), (std::array<std::uint8_t, 8>{1, 2, 3, 4, 5, 6, 7, 8}));
}

TEST(Endian, LittleEndianFieldsLieLeastSignificantFirst) {
  EXPECT_EQ(raw(le32(0x01020304)), (std::array<std::uint8_t, 4>{4, 3, 2, 1}));
}

template <class T>
class EndianTypes : public testing::Test {};
using Fields = testing::Types<be16, be32, be64, le32>;
TYPED_TEST_SUITE(EndianTypes, Fields);

TYPED_TEST(EndianTypes, ReadBackWhatWasWritten) {
  using Value = typename TypeParam::value_type;
  for (unsigned bit = 0; bit < sizeof(Value) * 8; ++bit) {
    const auto value = static_cast<Value>(Value{1} << bit);
    const auto inverse = static_cast<Value>(~value);
    EXPECT_EQ(TypeParam(value).get(), value);
    EXPECT_EQ(TypeParam(inverse).get(), inverse);
  }
  EXPECT_EQ(TypeParam(static_cast<Value>(~Value{0})).get(), static_cast<Value>(~Value{0}));
}

TYPED_TEST(EndianTypes, CountUpAndDownAndWrap) {
  using Value = typename TypeParam::value_type;
  TypeParam field(Value{255});
  field += 2;
  EXPECT_EQ(field.get(), Value{257});
  field -= 2;
  EXPECT_EQ(field.get(), Value{255});
  field = Value{0};
  field -= 1;
  EXPECT_EQ(field.get(), static_cast<Value>(~Value{0}));
}

TEST(Endian, FieldsAreConstantExpressions) {
  constexpr be32 kMagic(0x58465342);
  static_assert(kMagic == 0x58465342u);
  static_assert(be64(1).get() == 1);
}

struct Record {
  be16 first;
  be64 second;
  le32 third;
};

TEST(Endian, AStructLiesOverBytesAtAnyAddress) {
  static_assert(sizeof(Record) == 14 && alignof(Record) == 1);
  std::array<std::byte, 15> bytes{};
  auto& record = mutable_view<Record>(bytes, 1);
  record.first = 0x0102;
  record.second = 3;
  record.third = 4;
  EXPECT_EQ(bytes[0], std::byte{0});
  EXPECT_EQ(bytes[1], std::byte{1});
  EXPECT_EQ(bytes[2], std::byte{2});
  EXPECT_EQ(bytes[10], std::byte{3});
  EXPECT_EQ(bytes[11], std::byte{4});
  EXPECT_EQ(view<Record>(bytes, 1).second, 3u);
}

}  // namespace
}  // namespace xdax
