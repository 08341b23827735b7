// Directory blocks that hold the index: the single leaf of a leaf form directory, and the leaves of a node form one.
//
//   0 common header (libfs/format/da_node.h)  56 count  58 stale  60 pad  64 entries[count]: hashval, address
//   A single leaf also, at the end of the block:  ... bests[bestcount] be16 | bestcount be32
//
// Entries are in order of hash; address 0 is stale. bests[n] is the largest unused region of the n-th block of entries,
// 0xffff where there is no such block. Source: XFS Algorithms & Data Structures, "Leaf Directories", "Node
// Directories".
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "libfs/base/bytes.h"
#include "libfs/base/endian.h"
#include "libfs/format/da_node.h"
#include "libfs/format/dir_data.h"
#include "libfs/format/flaw.h"
#include "libfs/format/geometry.h"

namespace xdax {

struct DirLeafHeader {
  static constexpr std::uint16_t kLeaf1Magic = 0x3df1;
  static constexpr std::uint16_t kLeafNMagic = 0x3dff;

  DaBlockInfo info;
  be16 count;
  be16 stale;
  be32 pad;
};
static_assert(sizeof(DirLeafHeader) == 64);
static_assert(offsetof(DirLeafHeader, count) == 56);

/// The last four bytes of a single leaf.
struct DirLeafTail {
  be32 bestcount;
};
static_assert(sizeof(DirLeafTail) == 4);

/// Where there is no block of entries.
inline constexpr std::uint16_t kNoDataBlock = 0xffff;

enum class DirLeafForm : std::uint8_t { kLeaf1, kLeafN };

/// The index entries; no more than fit the block, whatever the header says.
[[nodiscard]] std::span<const DirLeafEntry> dir_leaf_entries(ByteSpan block);
/// The bests of a single leaf; no more than fit between its entries and its tail.
[[nodiscard]] std::span<const be16> dir_leaf_bests(ByteSpan block);

/// Checks an index block: identity, counts, order, addresses inside the part of the file that holds entries; of a
/// single leaf also its bests and that it has no siblings.
[[nodiscard]] Flaws verify_dir_leaf(ByteSpan block, const Geometry& geometry, DirLeafForm form,
                                    const DaExpectation& expected);

}  // namespace xdax
