// A set of the blocks of one group, for noticing that a block is reached twice.
//
// A bitmap in pages that are made when a block of theirs is first added: the memory follows what is really visited, not
// what a superblock claims. Not thread-safe; each group has its own.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "libfs/base/assert.h"
#include "libfs/base/units.h"

namespace xdax::fsck {

class BlockSet {
 public:
  explicit BlockSet(std::uint32_t length_blocks)
      : length_blocks_(length_blocks), pages_((length_blocks >> kPageLog) + 1) {}

  /// Adds a block of the group; false when it was there already. The block must lie inside the group.
  bool insert(AgBlock block) {
    XDAX_ASSERT(block.value() < length_blocks_);
    std::unique_ptr<Page>& page = pages_[block.value() >> kPageLog];
    if (!page) page = std::make_unique<Page>();
    std::uint64_t& word = (*page)[(block.value() & (kPageBlocks - 1)) / 64];
    const std::uint64_t bit = 1ull << (block.value() % 64);
    if ((word & bit) != 0) return false;
    word |= bit;
    return true;
  }

 private:
  static constexpr std::uint32_t kPageLog = 15;
  static constexpr std::uint32_t kPageBlocks = 1u << kPageLog;
  using Page = std::array<std::uint64_t, kPageBlocks / 64>;

  std::uint32_t length_blocks_;
  std::vector<std::unique_ptr<Page>> pages_;
};

}  // namespace xdax::fsck
