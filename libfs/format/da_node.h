// Blocks of the hash tree that directories and attributes share: the common header, and the inner nodes.
//
// Common header:                                        Node:
//   0 forw  4 back  8 magic  10 pad  12 crc               0 common header  56 count  58 level  60 pad32  64 end
//  16 blkno  24 lsn  32 uuid  48 owner  56 end           64 entries[count]: hashval, before (a block of the file)
//
// The tree lies in the file itself and is addressed by 32-bit file blocks. Of a directory it starts 32 GiB into the
// file, behind the entries, and ends at 64 GiB, where the free index starts; its blocks are directory blocks. Of an
// attribute fork it starts at 0; its blocks are filesystem blocks. An entry's hash is the greatest below it. Source:
// XFS Algorithms & Data Structures, "Node Directories", "Node Attributes".
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "libfs/base/bytes.h"
#include "libfs/base/endian.h"
#include "libfs/base/units.h"
#include "libfs/base/uuid.h"
#include "libfs/format/flaw.h"
#include "libfs/format/geometry.h"
#include "libfs/format/inode_fork.h"

namespace xdax {

struct DaBlockInfo {
  be32 forw;
  be32 back;
  be16 magic;
  be16 pad;
  le32 crc;
  be64 blkno;
  be64 lsn;
  Uuid uuid;
  be64 owner;
};
static_assert(sizeof(DaBlockInfo) == 56);
static_assert(offsetof(DaBlockInfo, magic) == 8);
static_assert(offsetof(DaBlockInfo, crc) == 12);
static_assert(offsetof(DaBlockInfo, blkno) == 16);
static_assert(offsetof(DaBlockInfo, uuid) == 32);
static_assert(offsetof(DaBlockInfo, owner) == 48);

struct DaNodeHeader {
  static constexpr std::uint16_t kMagic = 0x3ebe;

  DaBlockInfo info;
  be16 count;
  be16 level;  ///< 1 above the leaves
  be32 pad32;
};
static_assert(sizeof(DaNodeHeader) == 64);
static_assert(offsetof(DaNodeHeader, level) == 58);

struct DaNodeEntry {
  be32 hashval;
  be32 before;
};
static_assert(sizeof(DaNodeEntry) == 8);

namespace limits {
/// Levels of nodes above the leaves.
inline constexpr std::uint32_t kMaxDaLevels = 5;
}  // namespace limits

/// Where the parts of a directory lie in its file, in filesystem blocks.
struct DirRegions {
  static constexpr std::uint64_t kRegionBytes = 1ull << 35;

  FileBlock leaf;      ///< first block of the hash tree
  FileBlock free;      ///< first block of the free index
  FileBlock past_end;  ///< first block that is not the directory's

  [[nodiscard]] static DirRegions of(const Geometry& geometry) {
    const std::uint64_t blocks = kRegionBytes >> geometry.block_log;
    return {.leaf = FileBlock(blocks), .free = FileBlock(2 * blocks), .past_end = FileBlock(3 * blocks)};
  }
};

/// Bytes of one block of a fork's hash tree.
[[nodiscard]] inline std::uint32_t da_block_bytes(const Geometry& geometry, Fork fork) {
  return fork == Fork::kData ? geometry.dir_block_bytes() : geometry.block_bytes;
}

/// What a block of a directory or of attributes is expected to be.
struct DaExpectation {
  InodeNumber owner;     ///< the file
  FsBlock block;         ///< its own address; of a directory block in several pieces, the first
  FileBlock file_block;  ///< where it lies in the file
};

/// Checks the common header's identity and siblings. Part of the verifiers of blocks that start with it. False when the
/// magic is another, so that nothing else of the block means anything.
bool check_da_info(Flaws& flaws, ByteSpan block, const Geometry& geometry, Fork fork, const DaExpectation& expected,
                   std::uint16_t magic);

/// A block of the hash tree that an entry or a sibling may name.
[[nodiscard]] bool valid_da_block(const Geometry& geometry, Fork fork, std::uint32_t file_block);

/// The entries of a node; no more than fit the block, whatever the header says.
[[nodiscard]] std::span<const DaNodeEntry> da_node_entries(ByteSpan block);

/// Checks an inner node: level, count, hashes in order, children inside the tree's part of the file. `level` as its
/// parent says; any when absent.
[[nodiscard]] Flaws verify_da_node(ByteSpan block, const Geometry& geometry, Fork fork, const DaExpectation& expected,
                                   std::optional<std::uint32_t> level);

}  // namespace xdax
