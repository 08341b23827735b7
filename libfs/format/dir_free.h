// Blocks of a node form directory's free index: the largest unused region of each block of entries.
//
//   0 header as of blocks of entries, "XDF3"  48 firstdb  52 nvalid  56 nused  60 pad  64 bests[nvalid] be16
//
// The n-th block of the index (from 64 GiB into the file) speaks for as many blocks of entries as fit, from firstdb on;
// 0xffff where there is no such block. Source: XFS Algorithms & Data Structures, "Node Directories".
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "libfs/base/bytes.h"
#include "libfs/base/endian.h"
#include "libfs/format/dir_data.h"
#include "libfs/format/dir_leaf.h"
#include "libfs/format/flaw.h"
#include "libfs/format/geometry.h"

namespace xdax {

struct DirFreeHeader {
  static constexpr std::uint32_t kMagic = 0x58444633;  // "XDF3"

  DirBlockInfo info;
  be32 firstdb;  ///< directory blocks
  be32 nvalid;
  be32 nused;  ///< of these not 0xffff
  be32 pad;
};
static_assert(sizeof(DirFreeHeader) == 64);
static_assert(offsetof(DirFreeHeader, firstdb) == 48);
static_assert(offsetof(DirFreeHeader, nused) == 56);

/// Blocks of entries that one block of the index speaks for.
[[nodiscard]] constexpr std::uint32_t dir_free_capacity(std::uint32_t dir_block_bytes) {
  return (dir_block_bytes - static_cast<std::uint32_t>(sizeof(DirFreeHeader))) /
         static_cast<std::uint32_t>(sizeof(be16));
}
/// The bests; no more than fit the block, whatever the header says.
[[nodiscard]] std::span<const be16> dir_free_bests(ByteSpan block);

/// Checks a block of the free index: identity, that firstdb follows from where it lies, counts and values.
[[nodiscard]] Flaws verify_dir_free(ByteSpan block, const Geometry& geometry, const DaExpectation& expected);

}  // namespace xdax
