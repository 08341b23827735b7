// Records and keys of the trees of an allocation group.
//
// Each struct lies over its bytes on disk; `verify_*_records` check ranges, order and overlap of one block's records.
// Source: XFS Algorithms & Data Structures, "Free Space B+trees", "Inode B+trees", "Reverse-Mapping B+tree",
// "Reference Count B+tree".
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

#include "libfs/base/endian.h"
#include "libfs/base/units.h"
#include "libfs/format/flaw.h"
#include "libfs/format/geometry.h"

namespace xdax {

/// Free space: an extent of the group. Both free-space trees hold the same records; keys look the same.
struct FreeRecord {
  be32 startblock;
  be32 blockcount;
};
static_assert(sizeof(FreeRecord) == 8);

/// A chunk of 64 inode numbers. With sparse inodes, a set bit of holemask marks four inodes that have no blocks.
struct InodeChunkRecord {
  be32 startino;
  union {
    be32 freecount;  ///< without the sparse feature
    struct {
      be16 holemask;
      std::uint8_t count;
      std::uint8_t freecount;
    } sparse;
  };
  be64 free;  ///< bit i: inode startino + i is free; holes count as free
};
static_assert(sizeof(InodeChunkRecord) == 16);

/// The same, decoded: one form whether or not the feature is on.
struct InodeChunk {
  static constexpr std::uint32_t kInodesPerHoleBit = 4;

  AgInode start;
  std::uint16_t holemask = 0;
  std::uint32_t count = 0;      ///< inodes that exist, as stored
  std::uint32_t freecount = 0;  ///< of these free, as stored
  std::uint64_t free_mask = 0;

  [[nodiscard]] static InodeChunk decode(const InodeChunkRecord& record, bool sparse);
  [[nodiscard]] InodeChunkRecord encode(bool sparse) const;
  /// Bit i: inode start + i has blocks behind it.
  [[nodiscard]] std::uint64_t existing_mask() const;
};

/// Reverse map: an extent of the group and who owns it.
struct RmapRecord {
  be32 startblock;
  be32 blockcount;
  be64 owner;
  be64 offset;  ///< file block with flags; zero for non-inode owners
};
static_assert(sizeof(RmapRecord) == 24);

struct RmapKey {
  be32 startblock;
  be64 owner;
  be64 offset;
};
static_assert(sizeof(RmapKey) == 20);

namespace rmap {
inline constexpr std::uint64_t kOwnerNull = static_cast<std::uint64_t>(-1);
inline constexpr std::uint64_t kOwnerUnknown = static_cast<std::uint64_t>(-2);
inline constexpr std::uint64_t kOwnerFs = static_cast<std::uint64_t>(-3);  ///< header sectors
inline constexpr std::uint64_t kOwnerLog = static_cast<std::uint64_t>(-4);
inline constexpr std::uint64_t kOwnerAg = static_cast<std::uint64_t>(-5);  ///< free-space and reverse-map trees, AGFL
inline constexpr std::uint64_t kOwnerInobt = static_cast<std::uint64_t>(-6);   ///< both inode trees
inline constexpr std::uint64_t kOwnerInodes = static_cast<std::uint64_t>(-7);  ///< inode chunks
inline constexpr std::uint64_t kOwnerRefcount = static_cast<std::uint64_t>(-8);
inline constexpr std::uint64_t kOwnerCow = static_cast<std::uint64_t>(-9);  ///< copy-on-write staging
inline constexpr std::uint64_t kOwnerMinSpecial = static_cast<std::uint64_t>(-10);

inline constexpr std::uint64_t kAttrFork = 1ull << 63;
inline constexpr std::uint64_t kBmapBlock = 1ull << 62;
inline constexpr std::uint64_t kUnwritten = 1ull << 61;
inline constexpr std::uint64_t kOffsetMask = (1ull << 54) - 1;

[[nodiscard]] constexpr bool is_special(std::uint64_t owner) { return (owner >> 63) != 0; }
}  // namespace rmap

/// Shared extents and copy-on-write staging (refcount 1, top bit of startblock set).
struct RefcountRecord {
  be32 startblock;
  be32 blockcount;
  be32 refcount;
};
static_assert(sizeof(RefcountRecord) == 12);

namespace refcount {
inline constexpr std::uint32_t kCowFlag = 0x80000000u;
inline constexpr std::uint32_t kMaxCount = 0xffffffffu;
}  // namespace refcount

/// Record verifiers. `base_offset_bytes` is where the first record lies in its block, for Flaw::offset_bytes.
struct RecordContext {
  const Geometry& geometry;
  AgNumber ag;  ///< must be valid
  std::uint32_t base_offset_bytes = 0;
};
[[nodiscard]] Flaws verify_free_records(std::span<const FreeRecord> records, bool by_size,
                                        const RecordContext& context);
[[nodiscard]] Flaws verify_inode_chunk_records(std::span<const InodeChunkRecord> records, bool free_tree,
                                               const RecordContext& context);
[[nodiscard]] Flaws verify_rmap_records(std::span<const RmapRecord> records, const RecordContext& context);
[[nodiscard]] Flaws verify_refcount_records(std::span<const RefcountRecord> records, const RecordContext& context);

}  // namespace xdax
