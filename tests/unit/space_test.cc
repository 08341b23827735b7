// Allocating and freeing against a model: free space, the reverse map and reference counts stay in step, and when all
// is given back the filesystem is as it was.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

#include "libfs/base/error.h"
#include "libfs/space/allocator.h"
#include "libfs/space/refcount.h"
#include "tests/support/written_volume.h"

namespace xdax::test {
namespace {

class Space : public ::testing::TestWithParam<VolumeCase> {
 protected:
  Space() : volume_(GetParam()) {}

  // Who the tests' extents belong to: a file that is not there, at a file block of its own for each extent.
  static ExtentOwner owner(std::uint64_t number) { return {.owner = 0x1234, .offset = number << 24}; }

  WrittenVolume volume_;
};

class SpaceShared : public Space {};

struct Held {
  Extent64 extent;
  std::uint64_t number = 0;
  std::uint32_t from = 0;  // of the first block in what was allocated
};

TEST_P(Space, RandomExtentsComeAndGo) {
  std::mt19937_64 random(GetParam().block_bytes + GetParam().rmapbt);
  std::vector<Held> held;
  std::uint64_t number = 0;
  const std::uint64_t free_before = volume_.journal().counters().free_blocks;
  const auto owner_of = [](const Held& each) { return owner(each.number).further(each.from); };
  for (int i = 0; i < 6000; ++i) {
    std::vector<Held> after = held;
    Transaction transaction(volume_.journal());
    Allocator allocator(transaction);
    const bool grow = i < 2500 ? random() % 3 != 0 : i < 4500 ? random() % 2 == 0 : random() % 3 == 0;
    if (grow || held.empty()) {
      SpaceRequest request{.least = 1, .most = static_cast<std::uint32_t>(1 + random() % (i % 7 == 0 ? 200 : 6))};
      request.owner = owner(++number);
      if (random() % 2 == 0 && !held.empty()) request.near = held[random() % held.size()].extent.start;
      if (random() % 8 == 0) request.alignment = 1u << (random() % 6);
      Extent64 extent;
      try {
        extent = allocator.allocate(request);
      } catch (const RefusalError& full) {
        ASSERT_EQ(full.cause(), Errc::kNoSpace);
        continue;
      }
      ASSERT_LE(extent.length_blocks, request.most);
      ASSERT_GE(extent.length_blocks, 1u);
      for (const Held& other : held) {
        ASSERT_TRUE(other.extent.start.value() + other.extent.length_blocks <= extent.start.value() ||
                    extent.start.value() + extent.length_blocks <= other.extent.start.value());
      }
      after.push_back({.extent = extent, .number = number});
    } else {
      // All of one, or a part: the front, the back or the middle.
      const std::size_t which = random() % held.size();
      const Held victim = held[which];
      std::uint32_t from = 0;
      std::uint32_t length = victim.extent.length_blocks;
      if (random() % 2 == 0) {
        from = static_cast<std::uint32_t>(random() % length);
        length = 1 + static_cast<std::uint32_t>(random() % (length - from));
      }
      allocator.free({.start = victim.extent.start + from, .length_blocks = length}, owner_of(victim).further(from));
      after.erase(after.begin() + static_cast<std::ptrdiff_t>(which));
      if (from != 0) {
        after.push_back({.extent = {victim.extent.start, from}, .number = victim.number, .from = victim.from});
      }
      if (const std::uint32_t end = from + length; end < victim.extent.length_blocks) {
        after.push_back({.extent = {victim.extent.start + end, victim.extent.length_blocks - end},
                         .number = victim.number,
                         .from = victim.from + end});
      }
    }
    if (random() % 20 == 0) continue;  // dropped: nothing of it may stay
    transaction.commit();
    held = std::move(after);
    if (i % 50 == 0) volume_.journal().sync();
    std::uint64_t blocks = 0;
    for (const Held& each : held) blocks += each.extent.length_blocks;
    ASSERT_EQ(volume_.journal().counters().free_blocks, free_before - blocks);
  }
  for (const Held& each : held) {
    Transaction transaction(volume_.journal());
    Allocator(transaction).free(each.extent, owner_of(each));
    transaction.commit();
  }
  EXPECT_EQ(volume_.problems(), "");
}

TEST_P(SpaceShared, SharedBlocksAreFreedByTheLastOwner) {
  std::mt19937_64 random(7);
  Extent64 extent;
  {
    Transaction transaction(volume_.journal());
    extent = Allocator(transaction).allocate({.least = 300, .most = 300, .owner = owner(1)});
    transaction.commit();
  }
  const std::uint64_t free_before = volume_.journal().counters().free_blocks;
  std::vector<std::set<std::uint64_t>> owners(300, {1});  // by block
  for (int i = 0; i < 800; ++i) {
    const auto from = static_cast<std::uint32_t>(random() % 300);
    const auto length = static_cast<std::uint32_t>(1 + random() % std::min<std::uint32_t>(40, 300 - from));
    const Extent64 part{.start = extent.start + from, .length_blocks = length};
    Transaction transaction(volume_.journal());
    Allocator allocator(transaction);
    const std::uint64_t who = 2 + random() % 5;
    const auto all = [&](bool have) {
      return std::all_of(owners.begin() + from, owners.begin() + from + length,
                         [&](const auto& set) { return set.contains(who) == have; });
    };
    if (all(false)) {
      allocator.share(part, owner(who).further(from));
      for (std::uint32_t b = from; b < from + length; ++b) owners[b].insert(who);
    } else if (all(true)) {
      allocator.release(part, owner(who).further(from));
      for (std::uint32_t b = from; b < from + length; ++b) owners[b].erase(who);
    }
    transaction.commit();
    if (i % 40 == 0) {
      Transaction look(volume_.journal());
      Group group(look, volume_.geometry().ag_of(extent.start));
      const AgBlock first = volume_.geometry().ag_block_of(extent.start);
      for (std::uint32_t b = 0; b < 300;) {
        const auto run = Refcounts(group).run_at({.start = first + b, .length_blocks = 300 - b});
        ASSERT_GT(run.length_blocks, 0u);
        for (std::uint32_t k = 0; k < run.length_blocks; ++k, ++b) ASSERT_EQ(run.owners, owners[b].size()) << b;
      }
    }
  }
  EXPECT_LE(volume_.journal().counters().free_blocks, free_before);
  for (std::uint64_t who = 1; who < 7; ++who) {
    for (std::uint32_t b = 0; b < 300; ++b) {
      if (!owners[b].contains(who)) continue;
      Transaction transaction(volume_.journal());
      Allocator(transaction).release({.start = extent.start + b, .length_blocks = 1}, owner(who).further(b));
      transaction.commit();
    }
  }
  EXPECT_EQ(volume_.problems(), "");
}

TEST_P(Space, FullMeansFullAndNothingIsLost) {
  std::vector<Extent64> held;
  try {
    for (std::uint64_t number = 1;; ++number) {
      Transaction transaction(volume_.journal());
      const Extent64 extent = Allocator(transaction).allocate({.least = 1, .most = 5000, .owner = owner(number)});
      transaction.commit();
      held.push_back(extent);
    }
  } catch (const RefusalError& full) {
    EXPECT_EQ(full.cause(), Errc::kNoSpace);
  }
  std::uint64_t number = 0;
  for (const Extent64& each : held) {
    Transaction transaction(volume_.journal());
    Allocator(transaction).free(each, owner(++number));
    transaction.commit();
  }
  EXPECT_EQ(volume_.problems(), "");
}

// Item 4 of SEMANTICS.md, as far as the allocator goes: zeros go to what was allocated and to nothing beside it.
TEST_P(Space, Item04_ZeroesWhatItAllocatesAndNothingElse) {
  const Geometry& geometry = volume_.geometry();
  const auto mark = [&](std::byte value) {
    // Every free block, whoever it will belong to.
    Transaction transaction(volume_.journal());
    for (std::uint32_t i = 0; i < geometry.ag_count; ++i) {
      Group group(transaction, AgNumber(i));
      TypedTree<FreeRecord> tree(group, BtreeKind::kBno);
      for (bool more = tree.find_first(); more; more = tree.next()) {
        const std::uint64_t byte = geometry.byte_of(AgNumber(i), AgBlock(tree.record().startblock));
        const auto bytes =
            volume_.device().bytes().subspan(byte, std::size_t{tree.record().blockcount} << geometry.block_log);
        std::fill(bytes.begin(), bytes.end(), value);
      }
    }
  };
  mark(std::byte{0xa5});
  const auto bytes_of = [&](const Extent64& extent) {
    return volume_.device().bytes().subspan(geometry.byte_of(extent.start),
                                            std::size_t{extent.length_blocks} << geometry.block_log);
  };
  const auto is_live = [&](const Extent64& extent) {
    const auto bytes = bytes_of(extent);
    return std::all_of(bytes.begin(), bytes.end(), [](std::byte byte) { return byte == std::byte{0xa5}; });
  };
  Extent64 all;
  {
    Transaction transaction(volume_.journal());
    Allocator allocator(transaction);
    all = allocator.allocate({.least = 24, .most = 24, .owner = owner(1)});
    transaction.commit();
  }
  EXPECT_TRUE(is_live(all)) << "nobody asked for zeros";
  const Extent64 middle{.start = all.start + 8, .length_blocks = 8};
  {
    Transaction transaction(volume_.journal());
    Allocator(transaction).free(middle, owner(1).further(8));
    transaction.commit();
    volume_.journal().sync();
  }
  Transaction transaction(volume_.journal());
  const Extent64 zeroed =
      Allocator(transaction)
          .allocate({.least = 8, .most = 8, .near = middle.start, .owner = owner(1).further(8), .zero = true});
  ASSERT_EQ(zeroed, middle) << "it ought to join what is live on both sides";
  EXPECT_TRUE(all_zero(bytes_of(zeroed)));
  EXPECT_TRUE(is_live({.start = all.start, .length_blocks = 8}));
  EXPECT_TRUE(is_live({.start = all.start + 16, .length_blocks = 8}));
}

INSTANTIATE_TEST_SUITE_P(Geometries, SpaceShared,
                         ::testing::Values(VolumeCase{.name = "4k"}, VolumeCase{.name = "1k", .block_bytes = 1024}),
                         [](const auto& each) { return each.param.name; });
INSTANTIATE_TEST_SUITE_P(
    Geometries, Space,
    ::testing::Values(VolumeCase{.name = "4k"}, VolumeCase{.name = "1k", .block_bytes = 1024},
                      VolumeCase{.name = "1k_plain", .block_bytes = 1024, .rmapbt = false, .reflink = false},
                      VolumeCase{.name = "64k", .block_bytes = 65536, .size_bytes = 1u << 30}),
    [](const auto& each) { return each.param.name; });

}  // namespace
}  // namespace xdax::test
