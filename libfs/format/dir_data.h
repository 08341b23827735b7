// Directory blocks that hold entries: of the data form, and of the block form, where the index stands in the same
// block.
//
// Header:                                                 Entry (aligned to 8):
//   0 magic  4 crc  8 blkno  16 lsn  24 uuid  40 owner      0 inumber  8 namelen  9 name, file type, padding
//  48 best_free[3]: offset, length  60 pad  64 end          last 2 bytes: its own offset in the block
// Unused region:                                          Block form, at the end of the block:
//   0 freetag 0xffff  2 length                              ... index[count]: hashval, address | count  stale
//   last 2 bytes: its own offset in the block
//
// Entries and unused regions cover the block from the header to its end, or to the index, without gaps; two unused
// regions never touch. best_free names the three largest, largest first. An index entry with address 0 is stale.
// Source: XFS Algorithms & Data Structures, "Block Directories", "Leaf Directories".
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "libfs/base/bytes.h"
#include "libfs/base/endian.h"
#include "libfs/base/units.h"
#include "libfs/base/uuid.h"
#include "libfs/format/da_node.h"
#include "libfs/format/dir_entry.h"
#include "libfs/format/flaw.h"
#include "libfs/format/geometry.h"

namespace xdax {

/// What blocks of entries and of the free index start with.
struct DirBlockInfo {
  be32 magic;
  le32 crc;
  be64 blkno;
  be64 lsn;
  Uuid uuid;
  be64 owner;
};
static_assert(sizeof(DirBlockInfo) == 48);
static_assert(offsetof(DirBlockInfo, crc) == 4);
static_assert(offsetof(DirBlockInfo, blkno) == 8);
static_assert(offsetof(DirBlockInfo, uuid) == 24);
static_assert(offsetof(DirBlockInfo, owner) == 40);

struct DirBestFree {
  be16 offset;
  be16 length;
};
static_assert(sizeof(DirBestFree) == 4);

struct DirDataHeader {
  static constexpr std::uint32_t kBlockMagic = 0x58444233;  // "XDB3"
  static constexpr std::uint32_t kDataMagic = 0x58444433;   // "XDD3"
  static constexpr std::size_t kBestCount = 3;

  DirBlockInfo info;
  DirBestFree best_free[kBestCount];
  be32 pad;
};
static_assert(sizeof(DirDataHeader) == 64);
static_assert(offsetof(DirDataHeader, best_free) == 48);

/// Without the name and what follows it.
struct DirDataEntry {
  be64 inumber;
  std::uint8_t namelen;
};
static_assert(sizeof(DirDataEntry) == 9);

struct DirDataUnused {
  static constexpr std::uint16_t kFreeTag = 0xffff;

  be16 freetag;
  be16 length;
};
static_assert(sizeof(DirDataUnused) == 4);

/// An index entry: of the block form here, of the leaf and node forms in libfs/format/dir_leaf.h.
struct DirLeafEntry {
  static constexpr std::uint32_t kStale = 0;

  be32 hashval;
  be32 address;  ///< of the entry: bytes from the start of the directory, divided by 8

  [[nodiscard]] bool stale() const { return address == kStale; }
};
static_assert(sizeof(DirLeafEntry) == 8);

struct DirBlockTail {
  be32 count;
  be32 stale;
};
static_assert(sizeof(DirBlockTail) == 8);

/// Which of the two forms a block is.
enum class DirDataForm : std::uint8_t { kBlock, kData };

/// An entry or an unused region.
struct DirDataItem {
  std::uint32_t at_bytes = 0;
  std::uint32_t length_bytes = 0;
  std::uint16_t tag = 0;  ///< the offset stored at its end
  bool is_entry = false;  ///< otherwise unused
  DirEntry entry;         ///< meaningless when unused
};

/// Walks what lies between header and end; never leaves the block, and always moves on.
class DirDataCursor {
 public:
  DirDataCursor(ByteSpan block, DirDataForm form, bool file_type);

  /// Goes to the next item. False at the end and when the next one would not fit.
  [[nodiscard]] bool next();
  /// The item next() went to last. What it names looks into the block.
  [[nodiscard]] const DirDataItem& item() const { return item_; }
  /// Whether the walk stopped before the end.
  [[nodiscard]] bool broken() const { return broken_; }
  [[nodiscard]] std::uint32_t at_bytes() const { return at_; }

 private:
  ByteSpan block_;
  bool file_type_;
  bool broken_ = false;
  std::uint32_t at_ = sizeof(DirDataHeader);
  std::uint32_t end_ = 0;
  DirDataItem item_;
};

/// The index of a block form block; no more than fits, whatever the tail says.
[[nodiscard]] std::span<const DirLeafEntry> dir_block_index(ByteSpan block);

/// Checks a whole directory block: identity, that items cover it exactly, names, types, numbers, tags, best_free, the
/// dot names where they belong and nowhere else; of the block form also the index: order, that it names every entry
/// once by its hash, and stale ones.
[[nodiscard]] Flaws verify_dir_data(ByteSpan block, const Geometry& geometry, DirDataForm form,
                                    const DaExpectation& expected);

/// Checks the identity of a block that starts with DirBlockInfo. False when the magic is another.
bool check_dir_info(Flaws& flaws, ByteSpan block, const Geometry& geometry, const DaExpectation& expected,
                    std::uint32_t magic);

}  // namespace xdax
