#include "libfs/base/units.h"

#include <gtest/gtest.h>

#include <type_traits>

namespace xdax {
namespace {

template <class A, class B>
concept Subtractable = requires(A a, B b) { a - b; };
template <class A, class B>
concept Addable = requires(A a, B b) { a + b; };
template <class A, class B>
concept Comparable = requires(A a, B b) { a < b; };

// What the types are for: the mistakes that do not compile.
static_assert(Subtractable<FsBlock, FsBlock> && !Subtractable<FsBlock, FileBlock>);
static_assert(!Addable<FsBlock, FsBlock>, "two places have no sum");
static_assert(!Comparable<AgBlock, AgInode> && !Comparable<AgBlock, std::uint32_t>);
static_assert(!std::is_convertible_v<FsBlock, FileBlock> && !std::is_convertible_v<std::uint64_t, FsBlock>);
static_assert(!std::is_constructible_v<FsBlock, FileBlock>);
static_assert(!std::is_convertible_v<FsBlock, std::uint64_t>);
static_assert(sizeof(AgBlock) == 4 && sizeof(InodeNumber) == 8);

TEST(Units, MoveAndMeasure) {
  AgBlock block(10);
  EXPECT_EQ((block + 5).value(), 15u);
  EXPECT_EQ((block - 5).value(), 5u);
  EXPECT_EQ(AgBlock(15) - block, 5u);
  ++block;
  block += 2;
  EXPECT_EQ(block, AgBlock(13));
  EXPECT_LT(block, AgBlock(14));
  EXPECT_EQ(AgBlock().value(), 0u);
}

TEST(Units, NullIsAllOnesAndSortsLast) {
  EXPECT_EQ(kNullAgBlock.value(), 0xffffffffu);
  EXPECT_EQ(kNullFsBlock.value(), ~std::uint64_t{0});
  EXPECT_LT(AgInode(0xfffffffeu), kNullAgInode);
  EXPECT_LT(InodeNumber(128), kNullInode);
  EXPECT_EQ(1u << kBasicBlockLog, kBasicBlockBytes);
}

}  // namespace
}  // namespace xdax
