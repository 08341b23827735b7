// Attribute leaf blocks: entries in order of hash from the front, names and small values from the back.
//
//   0 common header (libfs/format/da_node.h)   56 count  58 usedbytes  60 firstused  62 holes  63 pad1
//  64 freemap[3]: base, size                   76 pad2   80 entries[count]: hashval, nameidx, flags, pad2 (8 bytes)
//  firstused ..  names, aligned to 4:
//     local:  0 valuelen  2 namelen  3 name, value        remote: 0 valueblk  4 valuelen  8 namelen  9 name
//
// nameidx is the name's offset in the block; no name lies before firstused, but the first may lie behind it. A remote
// value lies in blocks of its own (libfs/format/remote_block.h). In a 64 KiB block, a firstused of zero means its end.
// The freemap is a hint: it need not name all that is free (holes says so), but what it names must be free. Source: XFS
// Algorithms & Data Structures, "Leaf Attributes"; firstused as seen on disk.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "libfs/base/bytes.h"
#include "libfs/base/endian.h"
#include "libfs/format/attr_entry.h"
#include "libfs/format/da_node.h"
#include "libfs/format/flaw.h"
#include "libfs/format/geometry.h"

namespace xdax {

struct AttrFreeRegion {
  be16 base;
  be16 size;
};
static_assert(sizeof(AttrFreeRegion) == 4);

struct AttrLeafHeader {
  static constexpr std::uint16_t kMagic = 0x3bee;
  static constexpr std::size_t kFreemapEntries = 3;

  DaBlockInfo info;
  be16 count;
  be16 usedbytes;
  be16 firstused;
  std::uint8_t holes;
  std::uint8_t pad1;
  AttrFreeRegion freemap[kFreemapEntries];
  be32 pad2;
};
static_assert(sizeof(AttrLeafHeader) == 80);
static_assert(offsetof(AttrLeafHeader, usedbytes) == 58);
static_assert(offsetof(AttrLeafHeader, freemap) == 64);

struct AttrLeafEntry {
  be32 hashval;
  be16 nameidx;
  std::uint8_t flags;
  std::uint8_t pad2;

  [[nodiscard]] bool local() const { return (flags & attr_flags::kLocal) != 0; }
};
static_assert(sizeof(AttrLeafEntry) == 8);

/// Without name and value.
struct AttrLeafLocal {
  be16 valuelen;
  std::uint8_t namelen;
};
static_assert(sizeof(AttrLeafLocal) == 3);

/// Without the name.
struct AttrLeafRemote {
  be32 valueblk;
  be32 valuelen;
  std::uint8_t namelen;
};
static_assert(sizeof(AttrLeafRemote) == 9);

inline constexpr std::uint32_t kAttrNameAlignBytes = 4;

/// Bytes a name takes in a leaf. A remote one is counted with two bytes that a compiler's padding once put there.
[[nodiscard]] constexpr std::uint32_t attr_local_bytes(std::uint32_t name_bytes, std::uint32_t value_bytes) {
  return (3 + name_bytes + value_bytes + kAttrNameAlignBytes - 1) / kAttrNameAlignBytes * kAttrNameAlignBytes;
}
[[nodiscard]] constexpr std::uint32_t attr_remote_bytes(std::uint32_t name_bytes) {
  return (11 + name_bytes + kAttrNameAlignBytes - 1) / kAttrNameAlignBytes * kAttrNameAlignBytes;
}
/// The largest name and value together that are kept in a leaf, as attr_local_bytes() counts them.
[[nodiscard]] constexpr std::uint32_t attr_local_limit_bytes(std::uint32_t block_bytes) {
  return (block_bytes >> 1) + (block_bytes >> 2);
}

/// The entries; no more than fit the block, whatever the header says.
[[nodiscard]] std::span<const AttrLeafEntry> attr_leaf_entries(ByteSpan block);
/// Where names start.
[[nodiscard]] std::uint32_t attr_leaf_first_used(ByteSpan block);
/// What an entry of the block names; nullopt when that does not lie inside it, behind the entries.
[[nodiscard]] std::optional<AttrEntry> attr_leaf_name(ByteSpan block, const AttrLeafEntry& entry);

/// Checks an attribute leaf: identity, counts, order, each name and its hash, that names do not overlap and their sizes
/// sum to usedbytes, and that the freemap names only what is free.
[[nodiscard]] Flaws verify_attr_leaf(ByteSpan block, const Geometry& geometry, const DaExpectation& expected);

}  // namespace xdax
