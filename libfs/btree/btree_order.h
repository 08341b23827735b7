// What the one B+tree algorithm must know of each of the seven trees: how records become keys, and how keys are
// ordered.
//
// Pure functions over the bytes of records and keys as they lie on disk. Source: XFS Algorithms & Data Structures, the
// chapters of the trees.
#pragma once

#include <compare>
#include <cstddef>

#include "libfs/format/btree_block.h"

namespace xdax {

struct BtreeOrder {
  /// Order of two keys.
  std::strong_ordering (*compare)(const std::byte* left, const std::byte* right);
  /// Stores the key of a record.
  void (*low_key)(const std::byte* record, std::byte* key);
  /// In trees of overlapping intervals: stores the key of a record's end. Null elsewhere.
  void (*high_key)(const std::byte* record, std::byte* key);
};

[[nodiscard]] const BtreeOrder& btree_order(BtreeKind kind);

}  // namespace xdax
