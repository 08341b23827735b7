// Inodes and extent maps against a model. The inodes have no names and stand on the lists of unlinked ones, which the
// checker accepts, so that it judges chunks, forks, the reverse map and free space at every stage.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

#include "libfs/base/error.h"
#include "libfs/inode/fork_writer.h"
#include "libfs/inode/inactivate.h"
#include "libfs/inode/inode_allocator.h"
#include "libfs/inode/unlinked.h"
#include "tests/support/written_volume.h"

namespace xdax::test {
namespace {

class InodeWrite : public ::testing::TestWithParam<VolumeCase> {
 protected:
  InodeWrite() : volume_(GetParam()) {}

  [[nodiscard]] InodeNumber create(Transaction& transaction, std::uint16_t mode = 0100644) {
    const InodeNumber ino = InodeAllocator(transaction)
                                .allocate({.parent = volume_.geometry().root_inode,
                                           .mode = mode,
                                           .now = {.seconds = 1'700'000'000, .nanoseconds = 5},
                                           .generation = static_cast<std::uint32_t>(++created_)});
    add_unlinked(transaction, ino);
    return ino;
  }

  // What the checker says, but for the inodes that have no names on purpose.
  [[nodiscard]] std::string problems() {
    std::string left;
    std::istringstream lines(volume_.problems());
    for (std::string line; std::getline(lines, line);) {
      if (line.find("unlinked") == std::string::npos) left += line + "\n";
    }
    return left;
  }

  WrittenVolume volume_;
  std::uint64_t created_ = 0;
};

TEST_P(InodeWrite, InodesComeAndGo) {
  std::mt19937_64 random(3);
  std::vector<InodeNumber> live;
  for (int i = 0; i < 3000; ++i) {
    if (live.empty() || random() % 5 < (i < 1500 ? 4u : 2u)) {
      Transaction transaction(volume_.journal());
      const bool directory = random() % 8 == 0;
      const InodeNumber ino = create(transaction, directory ? 010644 : 0100644);
      ASSERT_EQ(std::count(live.begin(), live.end(), ino), 0);
      if (random() % 20 == 0) continue;
      transaction.commit();
      live.push_back(ino);
    } else {
      const std::size_t which = random() % live.size();
      inactivate(volume_.journal(), live[which]);
      live.erase(live.begin() + static_cast<std::ptrdiff_t>(which));
    }
    if (i % 700 == 0) {
      ASSERT_EQ(problems(), "");
    }
  }
  ASSERT_EQ(problems(), "");
  for (const InodeNumber ino : live) inactivate(volume_.journal(), ino);
  EXPECT_EQ(volume_.problems(), "");
  if (volume_.geometry().inodes_per_block <= 64) {
    EXPECT_LE(volume_.journal().counters().inodes, 3u * 64) << "chunks ought to be given back";
  }
}

// File block to what is mapped there.
struct Block {
  std::uint64_t physical = 0;
  bool unwritten = false;
  bool operator==(const Block&) const = default;
};

TEST_P(InodeWrite, ExtentMapsGrowAndShrinkThroughAllTheirForms) {
  std::mt19937_64 random(GetParam().block_bytes);
  InodeNumber ino;
  {
    Transaction transaction(volume_.journal());
    ino = create(transaction);
    InodeEdit(transaction, ino).change_core().size = std::uint64_t{4010} << volume_.geometry().block_log;
    transaction.commit();
  }
  std::map<std::uint64_t, Block> model;
  std::uint64_t most = 0;
  bool was_tree = false;
  for (int i = 0; i < 2500; ++i) {
    std::map<std::uint64_t, Block> after = model;
    Transaction transaction(volume_.journal());
    const InodeEdit inode(transaction, ino);
    ForkWriter fork(inode, Fork::kData);
    const std::uint64_t at = random() % 4000;
    const std::uint64_t length = 1 + random() % 8;
    const auto what = static_cast<unsigned>(random() % 10);
    const bool shrinking = i > 1600;
    if (what < (shrinking ? 2u : 6u)) {
      std::uint64_t free_length = 0;
      while (free_length < length && !model.contains(at + free_length)) ++free_length;
      if (free_length == 0) continue;
      Extent extent{.file_block = FileBlock(at),
                    .start = {},
                    .length_blocks = static_cast<std::uint32_t>(free_length),
                    .unwritten = random() % 3 == 0};
      Extent64 found;
      try {
        found =
            Allocator(transaction).allocate({.least = 1, .most = extent.length_blocks, .owner = fork.owner_of(extent)});
      } catch (const RefusalError&) {
        continue;
      }
      extent.start = found.start;
      extent.length_blocks = found.length_blocks;
      fork.add(extent);
      for (std::uint32_t b = 0; b < extent.length_blocks; ++b) {
        after[at + b] = {.physical = extent.start.value() + b, .unwritten = extent.unwritten};
      }
    } else if (what < 8) {
      fork.free(FileBlock(at), length);
      for (std::uint64_t b = 0; b < length; ++b) after.erase(at + b);
    } else {
      const auto extent = fork.find(FileBlock(at));
      if (!extent) continue;
      const std::uint64_t end = std::min(at + length, extent->file_block.value() + extent->length_blocks);
      fork.set_unwritten(FileBlock(at), end - at, !extent->unwritten);
      for (std::uint64_t b = at; b < end; ++b) after[b].unwritten = !extent->unwritten;
    }
    if (random() % 20 == 0) continue;
    transaction.commit();
    model = std::move(after);
    Transaction look(volume_.journal());
    const InodeEdit seen(look, ino);
    ForkWriter map(seen, Fork::kData);
    most = std::max(most, map.extent_count());
    const bool tree = fork_format(seen.core(), Fork::kData) == ForkFormat::kBtree;
    was_tree = was_tree || tree;
    for (int k = 0; k < 5; ++k) {
      const std::uint64_t block = random() % 4000;
      const auto extent = map.find(FileBlock(block));
      const auto expected = model.find(block);
      ASSERT_EQ(extent.has_value(), expected != model.end()) << block;
      if (!extent) continue;
      ASSERT_EQ(extent->start.value() + (block - extent->file_block.value()), expected->second.physical);
      ASSERT_EQ(extent->unwritten, expected->second.unwritten);
    }
    ASSERT_EQ(seen.core().nblocks >= model.size(), true);
  }
  EXPECT_TRUE(was_tree);
  EXPECT_GT(most, 100u);
  ASSERT_EQ(problems(), "");
  {
    Transaction look(volume_.journal());
    const InodeEdit seen(look, ino);
    ForkWriter map(seen, Fork::kData);
    std::map<std::uint64_t, Block> found;
    for (auto extent = map.next(FileBlock(0)); extent; extent = map.next(extent->file_block + extent->length_blocks)) {
      for (std::uint32_t b = 0; b < extent->length_blocks; ++b) {
        found[extent->file_block.value() + b] = {.physical = extent->start.value() + b, .unwritten = extent->unwritten};
      }
    }
    EXPECT_EQ(found, model);
  }
  inactivate(volume_.journal(), ino);
  EXPECT_EQ(volume_.problems(), "");
}

class InodeWriteSparse : public InodeWrite {};

// No room for a whole chunk anywhere: parts of chunks hold inodes, come together and go again.
TEST_P(InodeWriteSparse, PartsOfChunksAreUsedWhereNoChunkFits) {
  const Geometry& geometry = volume_.geometry();
  const std::uint32_t part = geometry.sparse_align_blocks;
  ASSERT_GT(geometry.inode_chunk_blocks(), part);
  // All space in pieces of one part, what is held back too, and then every other one free again. Nobody the checker
  // knows has them, so that it is asked when they are back.
  constexpr ExtentOwner kNobody{.owner = 0x1234, .offset = 0};
  std::vector<Extent64> taken;
  const auto owner_of = [&](std::size_t number) { return ExtentOwner{.owner = kNobody.owner, .offset = number << 24}; };
  for (bool full = false; !full;) {
    Transaction transaction(volume_.journal());
    try {
      taken.push_back(Allocator(transaction)
                          .allocate({.least = part,
                                     .most = part,
                                     .alignment = part,
                                     .must_align = true,
                                     .owner = owner_of(taken.size()),
                                     .reserved = true}));
      transaction.commit();
    } catch (const RefusalError&) {
      full = true;
    }
  }
  const auto give_back = [&](bool odd) {
    for (std::size_t i = 0; i < taken.size(); ++i) {
      if ((taken[i].start.value() / part % 2 != 0) != odd) continue;
      Transaction transaction(volume_.journal());
      Allocator(transaction).free(taken[i], owner_of(i));
      transaction.commit();
    }
    volume_.journal().sync();
  };
  give_back(true);
  const auto parts = [&] {
    std::size_t count = 0;
    Transaction look(volume_.journal());
    for (std::uint32_t ag = 0; ag < geometry.ag_count; ++ag) {
      Group group(look, AgNumber(ag));
      TypedTree<InodeChunkRecord> tree(group, BtreeKind::kInobt);
      for (bool more = tree.find_first(); more; more = tree.next()) {
        count += InodeChunk::decode(tree.record(), true).holemask != 0 ? 1 : 0;
      }
    }
    return count;
  };
  std::vector<InodeNumber> live;
  for (int i = 0; i < 500; ++i) {
    Transaction transaction(volume_.journal());
    live.push_back(create(transaction));
    transaction.commit();
  }
  EXPECT_GT(parts(), 5u);
  give_back(false);
  ASSERT_EQ(problems(), "");
  // The missing parts are not asked for: a whole chunk comes first.
  for (int i = 0; i < 300; ++i) {
    Transaction transaction(volume_.journal());
    live.push_back(create(transaction));
    transaction.commit();
  }
  ASSERT_EQ(problems(), "");
  for (const InodeNumber ino : live) inactivate(volume_.journal(), ino);
  EXPECT_EQ(volume_.problems(), "");
}

INSTANTIATE_TEST_SUITE_P(
    Geometries, InodeWriteSparse,
    ::testing::Values(VolumeCase{.name = "4k", .size_bytes = 64u << 20, .ag_count = 2},
                      VolumeCase{.name = "1k", .block_bytes = 1024, .size_bytes = 64u << 20, .ag_count = 2}),
    [](const auto& each) { return each.param.name; });
INSTANTIATE_TEST_SUITE_P(
    Geometries, InodeWrite,
    ::testing::Values(VolumeCase{.name = "4k"}, VolumeCase{.name = "1k", .block_bytes = 1024},
                      VolumeCase{.name = "1k_plain", .block_bytes = 1024, .rmapbt = false, .reflink = false},
                      VolumeCase{.name = "2k_inodes", .inode_bytes = 2048},
                      VolumeCase{.name = "64k", .block_bytes = 65536, .size_bytes = 2u << 30}),
    [](const auto& each) { return each.param.name; });

}  // namespace
}  // namespace xdax::test
