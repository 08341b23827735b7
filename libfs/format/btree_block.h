// B+tree blocks: one header in two widths, and the facts that tell the seven trees apart.
//
// Short header (trees of an allocation group):         Long header (extent map of a file):
//   0 magic  4 level  6 numrecs                           0 magic  4 level  6 numrecs
//   8 leftsib  12 rightsib  (AG blocks)                   8 leftsib  16 rightsib  (filesystem blocks)
//  16 blkno  24 lsn  32 uuid  48 owner (AG)  52 crc      24 blkno  32 lsn  40 uuid  56 owner (inode)  64 crc  68 pad
//  56 end                                                72 end
//
// A leaf (level 0) holds records from the header on. A node holds room for `max` keys, then room for `max` pointers.
// Trees of overlapping intervals (reverse map) keep a low and a high key for each pointer.
// Source: XFS Algorithms & Data Structures, "Common XFS Types", "Free Space B+trees" and following chapters.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "libfs/base/bytes.h"
#include "libfs/base/endian.h"
#include "libfs/base/units.h"
#include "libfs/base/uuid.h"
#include "libfs/format/flaw.h"
#include "libfs/format/geometry.h"

namespace xdax {

struct ShortBtreeHeader {
  be32 magic;
  be16 level;
  be16 numrecs;
  be32 leftsib;
  be32 rightsib;
  be64 blkno;
  be64 lsn;
  Uuid uuid;
  be32 owner;
  le32 crc;
};
static_assert(sizeof(ShortBtreeHeader) == 56);
static_assert(offsetof(ShortBtreeHeader, blkno) == 16);
static_assert(offsetof(ShortBtreeHeader, uuid) == 32);
static_assert(offsetof(ShortBtreeHeader, crc) == 52);

struct LongBtreeHeader {
  be32 magic;
  be16 level;
  be16 numrecs;
  be64 leftsib;
  be64 rightsib;
  be64 blkno;
  be64 lsn;
  Uuid uuid;
  be64 owner;
  le32 crc;
  be32 pad;
};
static_assert(sizeof(LongBtreeHeader) == 72);
static_assert(offsetof(LongBtreeHeader, blkno) == 24);
static_assert(offsetof(LongBtreeHeader, uuid) == 40);
static_assert(offsetof(LongBtreeHeader, crc) == 64);

enum class BtreeKind : std::uint8_t {
  kBno,       ///< free space by block
  kCnt,       ///< free space by size
  kInobt,     ///< inode chunks
  kFinobt,    ///< inode chunks with free inodes
  kRmap,      ///< reverse map
  kRefcount,  ///< shared extents
  kBmap,      ///< extents of a file
};

/// What distinguishes one tree from another on disk.
struct BtreeSpec {
  BtreeKind kind;
  const char* name;  ///< as the field calls it: bnobt, cntbt, inobt, finobt, rmapbt, refcountbt, bmapbt
  std::uint32_t magic;
  std::uint32_t record_bytes;
  std::uint32_t key_bytes;      ///< one key; overlapping trees store two for each pointer
  std::uint32_t pointer_bytes;  ///< 4 in group trees, 8 in the extent map
  bool overlapping;
};

[[nodiscard]] const BtreeSpec& btree_spec(BtreeKind kind);

/// How a block of `block_bytes` of one kind of tree is divided. All arithmetic; accepts any power-of-two block size
/// from 1 KiB.
class BtreeLayout {
 public:
  BtreeLayout(BtreeKind kind, std::uint32_t block_bytes) : spec_(btree_spec(kind)), block_bytes_(block_bytes) {}

  [[nodiscard]] const BtreeSpec& spec() const { return spec_; }
  [[nodiscard]] std::uint32_t header_bytes() const {
    return spec_.pointer_bytes == 4 ? static_cast<std::uint32_t>(sizeof(ShortBtreeHeader))
                                    : static_cast<std::uint32_t>(sizeof(LongBtreeHeader));
  }
  [[nodiscard]] std::uint32_t keys_per_pointer() const { return spec_.overlapping ? 2 : 1; }
  [[nodiscard]] std::uint32_t max_records() const { return (block_bytes_ - header_bytes()) / spec_.record_bytes; }
  [[nodiscard]] std::uint32_t max_keys() const {
    return (block_bytes_ - header_bytes()) / (spec_.key_bytes * keys_per_pointer() + spec_.pointer_bytes);
  }
  /// Most and fewest entries of a block at `level`. A root may have fewer.
  [[nodiscard]] std::uint32_t max_entries(std::uint32_t level) const { return level == 0 ? max_records() : max_keys(); }
  [[nodiscard]] std::uint32_t min_entries(std::uint32_t level) const { return max_entries(level) / 2; }

  [[nodiscard]] std::uint32_t record_offset(std::uint32_t index) const {
    return header_bytes() + index * spec_.record_bytes;
  }
  /// The low key of entry `index`; the high key of an overlapping tree follows it.
  [[nodiscard]] std::uint32_t key_offset(std::uint32_t index) const {
    return header_bytes() + index * spec_.key_bytes * keys_per_pointer();
  }
  [[nodiscard]] std::uint32_t pointer_offset(std::uint32_t index) const {
    return header_bytes() + max_keys() * spec_.key_bytes * keys_per_pointer() + index * spec_.pointer_bytes;
  }

 private:
  const BtreeSpec& spec_;
  std::uint32_t block_bytes_;
};

/// Levels a tree of `records` needs when every block but the root is only half full; at least 1.
[[nodiscard]] std::uint32_t worst_case_levels(const BtreeLayout& layout, std::uint64_t records);
/// Blocks a tree of `records` needs when every block is only half full.
[[nodiscard]] std::uint64_t worst_case_blocks(const BtreeLayout& layout, std::uint64_t records);

/// What a block of a group's tree is expected to be.
struct ShortBtreeExpectation {
  BtreeKind kind;
  AgNumber ag;
  AgBlock block;                       ///< its own address
  std::optional<std::uint32_t> level;  ///< as its parent or the header says; any when absent
  bool root = false;
};

/// Checks the header, siblings, entry count, and every record, key and pointer of a block of a group's tree: ranges,
/// order and overlap within the block. `block` is the whole block; `expected.ag` must be valid.
[[nodiscard]] Flaws verify_short_btree_block(ByteSpan block, const Geometry& geometry,
                                             const ShortBtreeExpectation& expected);

/// What a block of a file's extent map is expected to be.
struct LongBtreeExpectation {
  FsBlock block;      ///< its own address
  InodeNumber owner;  ///< the file
  std::optional<std::uint32_t> level;
  bool attribute_fork = false;
};

/// The same for a block of an extent map. Records are checked as verify_extents() does.
[[nodiscard]] Flaws verify_long_btree_block(ByteSpan block, const Geometry& geometry,
                                            const LongBtreeExpectation& expected);

}  // namespace xdax
