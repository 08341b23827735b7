#include "libfs/format/btree_records.h"

#include <algorithm>

#include "libfs/base/math.h"

namespace xdax {
namespace {

template <class Record>
std::uint32_t offset_of(const RecordContext& context, std::size_t index) {
  return static_cast<std::uint32_t>(context.base_offset_bytes + index * sizeof(Record));
}

// Whether [start, start + length) lies inside the group, length not 0. Where `header_allowed`, it may cover the header.
bool inside(const RecordContext& context, std::uint32_t start, std::uint32_t length, bool header_allowed) {
  if (length == 0 || (!header_allowed && start < context.geometry.ag_header_blocks())) return false;
  return range_fits(start, length, context.geometry.ag_length_blocks(context.ag));
}

}  // namespace

InodeChunk InodeChunk::decode(const InodeChunkRecord& record, bool sparse) {
  InodeChunk chunk{.start = AgInode(record.startino), .free_mask = record.free};
  if (sparse) {
    chunk.holemask = record.sparse.holemask;
    chunk.count = record.sparse.count;
    chunk.freecount = record.sparse.freecount;
  } else {
    chunk.count = limits::kInodesPerChunk;
    chunk.freecount = record.freecount;
  }
  return chunk;
}

InodeChunkRecord InodeChunk::encode(bool with_sparse) const {
  InodeChunkRecord record{};
  record.startino = start.value();
  if (with_sparse) {
    record.sparse.holemask = holemask;
    record.sparse.count = static_cast<std::uint8_t>(count);
    record.sparse.freecount = static_cast<std::uint8_t>(freecount);
  } else {
    record.freecount = freecount;
  }
  record.free = free_mask;
  return record;
}

std::uint64_t InodeChunk::existing_mask() const {
  std::uint64_t mask = 0;
  for (unsigned bit = 0; bit < 16; ++bit) {
    if ((holemask & (1u << bit)) == 0) mask |= 0xfull << (bit * kInodesPerHoleBit);
  }
  return mask;
}

Flaws verify_free_records(std::span<const FreeRecord> records, bool by_size, const RecordContext& context) {
  Flaws flaws;
  for (std::size_t i = 0; i < records.size(); ++i) {
    const std::uint32_t start = records[i].startblock;
    const std::uint32_t length = records[i].blockcount;
    const std::uint32_t at = offset_of<FreeRecord>(context, i);
    if (!inside(context, start, length, false)) {
      flaws.add({FlawKind::kRange, "free.startblock", at, start, length,
                 "one or more blocks inside the group, past its header"});
    }
    if (i == 0) continue;
    const std::uint32_t previous_start = records[i - 1].startblock;
    const std::uint32_t previous_length = records[i - 1].blockcount;
    if (by_size) {
      if (length < previous_length || (length == previous_length && start <= previous_start)) {
        flaws.add({FlawKind::kOrder, "free.blockcount", at, length, previous_length, "ordered by size, then by block"});
      }
    } else if (start <= std::uint64_t{previous_start} + previous_length) {
      flaws.add({FlawKind::kOrder, "free.startblock", at, start, std::uint64_t{previous_start} + previous_length,
                 "past the extent before it, and not touching it"});
    }
  }
  return flaws;
}

Flaws verify_inode_chunk_records(std::span<const InodeChunkRecord> records, bool free_tree,
                                 const RecordContext& context) {
  Flaws flaws;
  const Geometry& geometry = context.geometry;
  const bool sparse = geometry.features.sparse();
  for (std::size_t i = 0; i < records.size(); ++i) {
    const InodeChunk chunk = InodeChunk::decode(records[i], sparse);
    const std::uint32_t at = offset_of<InodeChunkRecord>(context, i);
    const std::uint32_t start = chunk.start.value();
    const std::uint32_t first_block = geometry.ag_block_of(chunk.start).value();
    // Without sparse inodes the alignment may be only a cluster, so that a chunk starts at a multiple of 32 inodes.
    const std::uint32_t alignment =
        std::min(limits::kInodesPerChunk, std::max(geometry.inode_align_blocks, 1u) << geometry.inodes_per_block_log);
    if (start % alignment != 0) {
      flaws.add({FlawKind::kRange, "inobt.startino", at, start, alignment, "a multiple of the inode alignment"});
    }
    // A sparse chunk may reach past the end of the group with inodes that do not exist.
    const std::uint64_t existing = chunk.existing_mask();
    // Those that are valid lie side by side, so that the first and the last tell of all.
    const auto valid = [&](int inode) {
      return geometry.valid_ag_inode(context.ag, chunk.start + static_cast<std::uint32_t>(inode));
    };
    if (existing == 0 || !valid(std::countr_zero(existing)) || !valid(63 - std::countl_zero(existing))) {
      flaws.add({FlawKind::kRange, "inobt.startino", at, first_block, geometry.ag_length_blocks(context.ag),
                 "existing inodes inside the group, past its header"});
    }
    const auto existing_count = static_cast<std::uint32_t>(std::popcount(existing));
    if (chunk.count != existing_count) {
      flaws.add(
          {FlawKind::kConsistency, "inobt.count", at, chunk.count, existing_count, "the inodes that holemask leaves"});
    }
    const auto free_count = static_cast<std::uint32_t>(std::popcount(chunk.free_mask & existing));
    if (chunk.freecount != free_count) {
      flaws.add(
          {FlawKind::kConsistency, "inobt.freecount", at, chunk.freecount, free_count, "the free inodes that exist"});
    }
    if ((chunk.free_mask | existing) != ~0ull) {
      flaws.add(
          {FlawKind::kConsistency, "inobt.free", at, chunk.free_mask, existing, "inodes without blocks marked free"});
    }
    if (free_tree && free_count == 0) {
      flaws.add({FlawKind::kConsistency, "finobt.freecount", at, chunk.freecount, 1,
                 "at least one free inode in the free tree"});
    }
    if (i > 0 && start < std::uint64_t{records[i - 1].startino} + limits::kInodesPerChunk) {
      flaws.add(
          {FlawKind::kOrder, "inobt.startino", at, start, records[i - 1].startino, "64 past the record before it"});
    }
  }
  return flaws;
}

namespace {

// Owners that are files may share a block; nothing else may overlap.
void check_rmap_order(Flaws& flaws, const RmapRecord& before, const RmapRecord& record, const Geometry& geometry,
                      std::uint32_t at) {
  const bool shareable = geometry.features.reflink() && !rmap::is_special(before.owner) &&
                         !rmap::is_special(record.owner) &&
                         ((before.offset | record.offset) & (rmap::kAttrFork | rmap::kBmapBlock)) == 0;
  const std::uint64_t previous_end = std::uint64_t{before.startblock} + before.blockcount;
  if (!shareable && record.startblock < previous_end) {
    flaws.add({FlawKind::kOrder, "rmap.startblock", at, record.startblock, previous_end,
               "past the extent before it, which cannot be shared"});
    return;
  }
  const std::uint64_t before_offset = before.offset & ~rmap::kUnwritten;
  const std::uint64_t offset = record.offset & ~rmap::kUnwritten;
  const bool ordered = record.startblock != before.startblock ? record.startblock > before.startblock
                       : record.owner != before.owner         ? record.owner > before.owner
                                                              : offset > before_offset;
  if (!ordered)
    flaws.add({FlawKind::kOrder, "rmap.startblock", at, record.startblock, before.startblock,
               "ordered by block, owner and offset"});
}

void check_rmap_owner(Flaws& flaws, const RmapRecord& record, const Geometry& geometry, std::uint32_t at) {
  const std::uint64_t owner = record.owner;
  const std::uint64_t offset = record.offset;
  if (rmap::is_special(owner)) {
    if (owner >= rmap::kOwnerUnknown || owner <= rmap::kOwnerMinSpecial) {
      flaws.add({FlawKind::kOwner, "rmap.owner", at, owner, 0, "a known special owner"});
    }
    // Copy-on-write staging is unwritten by nature; other metadata has neither offset nor flags.
    const std::uint64_t allowed = owner == rmap::kOwnerCow ? rmap::kUnwritten : 0;
    if ((offset & ~allowed) != 0) flaws.add({FlawKind::kReserved, "rmap.offset", at, offset, 0, "zero for metadata"});
    return;
  }
  if (!geometry.valid_inode(InodeNumber(owner))) {
    flaws.add({FlawKind::kOwner, "rmap.owner", at, owner, 0, "an inode inside the filesystem"});
  }
  if ((offset & ~(rmap::kAttrFork | rmap::kBmapBlock | rmap::kUnwritten | rmap::kOffsetMask)) != 0) {
    flaws.add({FlawKind::kReserved, "rmap.offset", at, offset, 0, "no reserved bits"});
  }
  if ((offset & rmap::kBmapBlock) != 0 && (offset & (rmap::kOffsetMask | rmap::kUnwritten)) != 0) {
    flaws.add({FlawKind::kReserved, "rmap.offset", at, offset, 0,
               "no offset and no unwritten flag for a block of an extent map"});
  }
  if ((offset & rmap::kAttrFork) != 0 && (offset & rmap::kUnwritten) != 0) {
    flaws.add({FlawKind::kReserved, "rmap.offset", at, offset, 0, "no unwritten extent in an attribute fork"});
  }
  if ((offset & rmap::kBmapBlock) == 0 &&
      !range_fits(offset & rmap::kOffsetMask, record.blockcount, geometry.max_file_blocks())) {
    flaws.add({FlawKind::kRange, "rmap.offset", at, offset, geometry.max_file_blocks(), "a range below 2^63 bytes"});
  }
}

}  // namespace

Flaws verify_rmap_records(std::span<const RmapRecord> records, const RecordContext& context) {
  Flaws flaws;
  for (std::size_t i = 0; i < records.size(); ++i) {
    const RmapRecord& record = records[i];
    const std::uint32_t at = offset_of<RmapRecord>(context, i);
    const bool header_owner = record.owner == rmap::kOwnerFs;
    if (!inside(context, record.startblock, record.blockcount, header_owner)) {
      flaws.add({FlawKind::kRange, "rmap.startblock", at, record.startblock, record.blockcount,
                 "one or more blocks inside the group"});
    }
    if (header_owner && (record.startblock != 0 || record.blockcount != context.geometry.ag_header_blocks())) {
      flaws.add({FlawKind::kRange, "rmap.blockcount", at, record.blockcount, context.geometry.ag_header_blocks(),
                 "exactly the header blocks of the group"});
    }
    check_rmap_owner(flaws, record, context.geometry, at);
    if (i > 0) check_rmap_order(flaws, records[i - 1], record, context.geometry, at);
  }
  return flaws;
}

Flaws verify_refcount_records(std::span<const RefcountRecord> records, const RecordContext& context) {
  Flaws flaws;
  for (std::size_t i = 0; i < records.size(); ++i) {
    const RefcountRecord& record = records[i];
    const std::uint32_t at = offset_of<RefcountRecord>(context, i);
    const bool staging = (record.startblock & refcount::kCowFlag) != 0;
    const std::uint32_t start = record.startblock & ~refcount::kCowFlag;
    if (!inside(context, start, record.blockcount, false)) {
      flaws.add({FlawKind::kRange, "refcount.startblock", at, start, record.blockcount,
                 "one or more blocks inside the group, past its header"});
    }
    if (staging ? record.refcount != 1 : record.refcount < 2) {
      flaws.add({FlawKind::kRange, "refcount.refcount", at, record.refcount, staging ? 1u : 2u,
                 staging ? "1 for copy-on-write staging" : "at least 2"});
    }
    if (i == 0) continue;
    const RefcountRecord& before = records[i - 1];
    if (record.startblock < std::uint64_t{before.startblock} + before.blockcount) {
      flaws.add({FlawKind::kOrder, "refcount.startblock", at, record.startblock, before.startblock,
                 "past the extent before it"});
    }
  }
  return flaws;
}

}  // namespace xdax
