#include "libfs/format/btree_block.h"

#include <algorithm>

#include "libfs/base/crc32c.h"
#include "libfs/base/math.h"
#include "libfs/format/btree_records.h"
#include "libfs/format/extent.h"

namespace xdax {
namespace {

constexpr BtreeSpec kSpecs[] = {
    {BtreeKind::kBno, "bnobt", 0x41423342, 8, 8, 4, false},             // "AB3B"
    {BtreeKind::kCnt, "cntbt", 0x41423343, 8, 8, 4, false},             // "AB3C"
    {BtreeKind::kInobt, "inobt", 0x49414233, 16, 4, 4, false},          // "IAB3"
    {BtreeKind::kFinobt, "finobt", 0x46494233, 16, 4, 4, false},        // "FIB3"
    {BtreeKind::kRmap, "rmapbt", 0x524d4233, 24, 20, 4, true},          // "RMB3"
    {BtreeKind::kRefcount, "refcountbt", 0x52334643, 12, 4, 4, false},  // "R3FC"
    {BtreeKind::kBmap, "bmapbt", 0x424d4133, 16, 8, 8, false},          // "BMA3"
};

constexpr std::uint32_t kEntriesOffset = offsetof(ShortBtreeHeader, numrecs);
static_assert(offsetof(LongBtreeHeader, numrecs) == kEntriesOffset);

// The part of the header that both widths share. Returns false when the entries must not be looked at.
template <class Header>
bool check_header(Flaws& flaws, ByteSpan block, const BtreeLayout& layout, const Geometry& geometry,
                  std::optional<std::uint32_t> level, DiskAddress address) {
  const auto& header = view<Header>(block);
  const BtreeSpec& spec = layout.spec();
  if (header.magic != spec.magic) {
    flaws.add({FlawKind::kMagic, "btree.magic", 0, header.magic, spec.magic, "the magic of its tree"});
    return false;
  }
  constexpr std::uint32_t kCrc = offsetof(Header, crc);
  if (const std::uint32_t computed = structure_checksum(block, kCrc); computed != header.crc) {
    flaws.add({FlawKind::kChecksum, "btree.crc", kCrc, header.crc, computed, "the checksum of the block"});
  }
  if (header.uuid != geometry.uuid) {
    flaws.add({FlawKind::kUuid, "btree.uuid", offsetof(Header, uuid), 0, 0, "the uuid of this filesystem"});
  }
  if (header.blkno != address.value()) {
    flaws.add({FlawKind::kSelfAddress, "btree.blkno", offsetof(Header, blkno), header.blkno, address.value(),
               "its own disk address"});
  }
  if (header.level >= limits::kMaxBtreeLevels || (level && header.level != *level)) {
    flaws.add({FlawKind::kLevel, "btree.level", offsetof(Header, level), header.level,
               level.value_or(limits::kMaxBtreeLevels), "the level its parent expects"});
    if (header.level >= limits::kMaxBtreeLevels) return false;
  }
  const std::uint32_t most = layout.max_entries(header.level);
  if (header.numrecs > most) {
    flaws.add({FlawKind::kCount, "btree.numrecs", kEntriesOffset, header.numrecs, most, "at most what fits the block"});
    return false;
  }
  return true;
}

Flaws check_records(ByteSpan block, const BtreeLayout& layout, const RecordContext& context, std::uint32_t count) {
  const std::uint32_t at = layout.header_bytes();
  switch (layout.spec().kind) {
    case BtreeKind::kBno:
      return verify_free_records(view_array<FreeRecord>(block, at, count), false, context);
    case BtreeKind::kCnt:
      return verify_free_records(view_array<FreeRecord>(block, at, count), true, context);
    case BtreeKind::kInobt:
      return verify_inode_chunk_records(view_array<InodeChunkRecord>(block, at, count), false, context);
    case BtreeKind::kFinobt:
      return verify_inode_chunk_records(view_array<InodeChunkRecord>(block, at, count), true, context);
    case BtreeKind::kRmap:
      return verify_rmap_records(view_array<RmapRecord>(block, at, count), context);
    case BtreeKind::kRefcount:
      return verify_refcount_records(view_array<RefcountRecord>(block, at, count), context);
    case BtreeKind::kBmap:
      break;
  }
  XDAX_ASSERT(false);
}

struct KeyOrder {
  std::uint64_t major = 0, middle = 0, minor = 0;
  auto operator<=>(const KeyOrder&) const = default;
};

// The order of one key of a group's tree. The reverse map ignores the unwritten flag when it compares.
KeyOrder order_of_key(ByteSpan block, const BtreeLayout& layout, std::uint32_t offset_bytes) {
  switch (layout.spec().kind) {
    case BtreeKind::kCnt: {
      const auto& key = view<FreeRecord>(block, offset_bytes);
      return {key.blockcount, key.startblock, 0};
    }
    case BtreeKind::kRmap: {
      const auto& key = view<RmapKey>(block, offset_bytes);
      return {key.startblock, key.owner, key.offset & ~rmap::kUnwritten};
    }
    case BtreeKind::kBmap:
      return {view<be64>(block, offset_bytes), 0, 0};
    default:
      return {view<be32>(block, offset_bytes), 0, 0};
  }
}

void check_keys(Flaws& flaws, ByteSpan block, const BtreeLayout& layout, std::uint32_t count) {
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint32_t at = layout.key_offset(i);
    const KeyOrder low = order_of_key(block, layout, at);
    if (i > 0 && !(order_of_key(block, layout, layout.key_offset(i - 1)) < low)) {
      flaws.add({FlawKind::kOrder, "btree.keys", at, low.major, i, "greater than the key before it"});
    }
    if (layout.spec().overlapping && order_of_key(block, layout, at + layout.spec().key_bytes) < low) {
      flaws.add({FlawKind::kOrder, "btree.high_keys", at + layout.spec().key_bytes, low.major, i,
                 "a high key not below its low key"});
    }
  }
}

}  // namespace

const BtreeSpec& btree_spec(BtreeKind kind) {
  const BtreeSpec& spec = kSpecs[static_cast<std::size_t>(kind)];
  XDAX_ASSERT(spec.kind == kind);
  return spec;
}

std::uint64_t worst_case_blocks(const BtreeLayout& layout, std::uint64_t records) {
  std::uint64_t blocks_at_level = std::max<std::uint64_t>(1, div_ceil(records, layout.min_entries(0)));
  std::uint64_t blocks = blocks_at_level;
  while (blocks_at_level > 1) {
    blocks_at_level = div_ceil(blocks_at_level, layout.min_entries(1));
    blocks += blocks_at_level;
  }
  return blocks;
}

std::uint32_t worst_case_levels(const BtreeLayout& layout, std::uint64_t records) {
  std::uint64_t blocks_at_level = div_ceil(records, layout.min_entries(0));
  std::uint32_t levels = 1;
  while (blocks_at_level > 1) {
    blocks_at_level = div_ceil(blocks_at_level, layout.min_entries(1));
    ++levels;
  }
  return levels;
}

Flaws verify_short_btree_block(ByteSpan block, const Geometry& geometry, const ShortBtreeExpectation& expected) {
  Flaws flaws;
  const BtreeLayout layout(expected.kind, geometry.block_bytes);
  const DiskAddress address = geometry.disk_address(expected.ag, expected.block);
  const bool readable = check_header<ShortBtreeHeader>(flaws, block, layout, geometry, expected.level, address);
  const auto& header = view<ShortBtreeHeader>(block);
  if (flaws.has(FlawKind::kMagic)) return flaws;
  if (header.owner != expected.ag.value()) {
    flaws.add({FlawKind::kOwner, "btree.owner", offsetof(ShortBtreeHeader, owner), header.owner, expected.ag.value(),
               "its group"});
  }
  const auto check_sibling = [&](const char* field, std::size_t at, std::uint32_t sibling) {
    const bool legal =
        sibling == kNullAgBlock.value() || (!expected.root && geometry.valid_ag_block(expected.ag, AgBlock(sibling)) &&
                                            AgBlock(sibling) != expected.block);
    if (!legal) {
      flaws.add({FlawKind::kPointer, field, static_cast<std::uint32_t>(at), sibling, kNullAgBlock.value(),
                 expected.root ? "null in a root" : "null or another block of the group"});
    }
  };
  check_sibling("btree.leftsib", offsetof(ShortBtreeHeader, leftsib), header.leftsib);
  check_sibling("btree.rightsib", offsetof(ShortBtreeHeader, rightsib), header.rightsib);
  if (!readable) return flaws;

  const std::uint32_t level = header.level;
  const std::uint32_t count = header.numrecs;
  const std::uint32_t least = expected.root ? (level > 0 ? 2u : 0u) : layout.min_entries(level);
  if (count < least) {
    flaws.add({FlawKind::kCount, "btree.numrecs", kEntriesOffset, count, least,
               "at least half full, two pointers in a root node"});
  }
  if (level == 0) {
    flaws.add_all(check_records(block, layout, {geometry, expected.ag, layout.header_bytes()}, count));
    return flaws;
  }
  check_keys(flaws, block, layout, count);
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint32_t at = layout.pointer_offset(i);
    const AgBlock child{view<be32>(block, at)};
    if (!geometry.valid_ag_block(expected.ag, child) || child == expected.block) {
      flaws.add({FlawKind::kPointer, "btree.ptrs", at, child.value(), geometry.ag_length_blocks(expected.ag),
                 "another block of the group, past its header"});
    }
  }
  return flaws;
}

Flaws verify_long_btree_block(ByteSpan block, const Geometry& geometry, const LongBtreeExpectation& expected) {
  Flaws flaws;
  const BtreeLayout layout(BtreeKind::kBmap, geometry.block_bytes);
  const DiskAddress address = geometry.disk_address(expected.block);
  const bool readable = check_header<LongBtreeHeader>(flaws, block, layout, geometry, expected.level, address);
  if (flaws.has(FlawKind::kMagic)) return flaws;
  const auto& header = view<LongBtreeHeader>(block);
  if (header.owner != expected.owner.value()) {
    flaws.add({FlawKind::kOwner, "btree.owner", offsetof(LongBtreeHeader, owner), header.owner, expected.owner.value(),
               "its inode"});
  }
  const auto check_sibling = [&](const char* field, std::size_t at, std::uint64_t sibling) {
    if (sibling != kNullFsBlock.value() &&
        (!geometry.valid_fs_block(FsBlock(sibling)) || FsBlock(sibling) == expected.block)) {
      flaws.add({FlawKind::kPointer, field, static_cast<std::uint32_t>(at), sibling, kNullFsBlock.value(),
                 "null or another block"});
    }
  };
  check_sibling("btree.leftsib", offsetof(LongBtreeHeader, leftsib), header.leftsib);
  check_sibling("btree.rightsib", offsetof(LongBtreeHeader, rightsib), header.rightsib);
  if (!readable) return flaws;
  if (header.numrecs == 0) {
    flaws.add({FlawKind::kCount, "btree.numrecs", kEntriesOffset, 0, 1, "at least one entry"});
  }
  if (header.level == 0) {
    flaws.add_all(verify_extents(view_array<ExtentRecord>(block, layout.header_bytes(), header.numrecs), geometry,
                                 expected.attribute_fork, layout.header_bytes()));
    return flaws;
  }
  check_keys(flaws, block, layout, header.numrecs);
  for (std::uint32_t i = 0; i < header.numrecs; ++i) {
    const std::uint32_t at = layout.pointer_offset(i);
    const FsBlock child{view<be64>(block, at)};
    if (!geometry.valid_fs_block(child) || child == expected.block) {
      flaws.add({FlawKind::kPointer, "btree.ptrs", at, child.value(), 0, "another block of the filesystem"});
    }
  }
  return flaws;
}

}  // namespace xdax
