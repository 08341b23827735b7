#include "libfs/inode/inode_allocator.h"

#include <fmt/format.h>

#include <bit>

#include "libfs/base/error.h"
#include "libfs/base/math.h"
#include "libfs/inode/inode_edit.h"
#include "libfs/journal/superblock_edit.h"
#include "libfs/space/free_space.h"

namespace xdax {
namespace {

using ChunkTree = TypedTree<InodeChunkRecord>;
constexpr ExtentOwner kInodesOwner{.owner = rmap::kOwnerInodes, .offset = 0};
constexpr std::uint32_t kPerHoleBit = InodeChunk::kInodesPerHoleBit;

be32 key_of(AgInode inode) { return inode.value(); }

}  // namespace

void InodeAllocator::corrupt(AgNumber ag, AgInode inode, const char* what) const {
  throw CorruptionError(Errc::kBadStructure,
                        fmt::format("{}: inode {} {}", transaction_.journal().device().name(),
                                    transaction_.geometry().inode_number(ag, inode).value(), what));
}

InodeChunk InodeAllocator::chunk_at(Group& group, AgInode inode) {
  ChunkTree tree(group, BtreeKind::kInobt);
  if (tree.find_at_most(key_of(inode))) {
    const InodeChunk chunk = InodeChunk::decode(tree.record(), group.geometry().features.sparse());
    const std::uint32_t index = inode.value() - chunk.start.value();
    if (index < limits::kInodesPerChunk && (chunk.existing_mask() >> index & 1) != 0) return chunk;
  }
  corrupt(group.ag(), inode, "belongs to no chunk");
}

// Writes a chunk's record back into both trees and the counts of free inodes into the header.
void InodeAllocator::store(Group& group, const InodeChunk& chunk, std::uint32_t freecount_before) {
  const bool sparse = group.geometry().features.sparse();
  const InodeChunkRecord record = chunk.encode(sparse);
  ChunkTree all(group, BtreeKind::kInobt);
  if (!all.find_at_most(key_of(chunk.start)) || all.record().startino != chunk.start.value()) {
    corrupt(group.ag(), chunk.start, "starts no chunk");
  }
  all.update(record);
  if (group.geometry().features.finobt()) {
    ChunkTree free(group, BtreeKind::kFinobt);
    if (freecount_before == 0) {
      free.insert(record);
    } else {
      if (!free.find_at_most(key_of(chunk.start)) || free.record().startino != chunk.start.value()) {
        corrupt(group.ag(), chunk.start, "starts a chunk that the tree of free inodes does not know");
      }
      if (chunk.freecount == 0) {
        free.erase();
      } else {
        free.update(record);
      }
    }
  }
  const std::uint32_t change = chunk.freecount - freecount_before;
  group.change_agi().freecount += change;
  transaction_.counter_change().free_inodes += static_cast<std::int32_t>(change);
}

// A free inode of a chunk that is there, near another one where that is asked for.
std::optional<InodeNumber> InodeAllocator::take_free(AgNumber ag, std::optional<AgInode> near) {
  Group group(transaction_, ag);
  if (group.agi().freecount == 0) return std::nullopt;
  const Geometry& geometry = group.geometry();
  const bool sparse = geometry.features.sparse();
  std::optional<InodeChunk> found;
  if (geometry.features.finobt()) {
    ChunkTree tree(group, BtreeKind::kFinobt);
    const be32 key =
        key_of(near.value_or(AgInode(group.agi().newino.get() == kNullAgInode.value() ? 0 : group.agi().newino.get())));
    if (tree.find_at_most(key) || tree.find_at_least(key)) found = InodeChunk::decode(tree.record(), sparse);
  } else {
    ChunkTree tree(group, BtreeKind::kInobt);
    for (bool more = tree.find_first(); more; more = tree.next()) {
      found = InodeChunk::decode(tree.record(), sparse);
      if (found->freecount != 0) break;
    }
  }
  if (!found || (found->free_mask & found->existing_mask()) == 0 || found->freecount == 0) {
    corrupt(ag, AgInode(0), "of its group ought to be free, but no chunk has one");
  }
  InodeChunk chunk = *found;
  const auto index = static_cast<std::uint32_t>(std::countr_zero(chunk.free_mask & chunk.existing_mask()));
  chunk.free_mask &= ~(1ull << index);
  --chunk.freecount;
  store(group, chunk, chunk.freecount + 1);
  return geometry.inode_number(ag, chunk.start + index);
}

// Inodes may take so many percent of all space.
bool InodeAllocator::may_add() const {
  const Geometry& geometry = transaction_.geometry();
  const auto& superblock = view<Superblock>(
      transaction_.read({.byte = 0, .length_bytes = geometry.sector_bytes}, {.kind = MetadataKind::kSuperblock}));
  if (superblock.imax_pct == 0) return true;
  const std::uint64_t most = geometry.data_blocks / 100 * superblock.imax_pct * geometry.inodes_per_block;
  return transaction_.counters().inodes + limits::kInodesPerChunk <= most;
}

void InodeAllocator::insert_chunk(Group& group, AgBlock start, std::uint32_t inodes, std::uint16_t holemask) {
  const Geometry& geometry = group.geometry();
  const bool sparse = geometry.features.sparse();
  // A block may hold more than one chunk.
  const std::uint32_t chunks = std::max(inodes / limits::kInodesPerChunk, 1u);
  for (std::uint32_t i = 0; i < chunks; ++i) {
    const std::uint32_t count = std::min(inodes, limits::kInodesPerChunk);
    InodeChunk chunk{.start = geometry.first_inode_of(start) + i * limits::kInodesPerChunk,
                     .holemask = holemask,
                     .count = count,
                     .freecount = count,
                     .free_mask = ~0ull};
    ChunkTree(group, BtreeKind::kInobt).insert(chunk.encode(sparse));
    if (geometry.features.finobt()) ChunkTree(group, BtreeKind::kFinobt).insert(chunk.encode(sparse));
  }
  Agi& agi = group.change_agi();
  agi.count += inodes;
  agi.freecount += inodes;
  agi.newino = geometry.first_inode_of(start).value();
  transaction_.counter_change().inodes += inodes;
  transaction_.counter_change().free_inodes += inodes;
}

// A whole chunk, aligned; where there is no room for one, a part of one.
bool InodeAllocator::add_chunk(AgNumber ag, std::uint32_t generation) {
  const Geometry& geometry = transaction_.geometry();
  Group group(transaction_, ag);
  FreeSpace space(group);
  const std::uint32_t blocks = geometry.inode_chunk_blocks();
  const std::uint32_t alignment = std::max(geometry.inode_align_blocks, 1u);
  GroupRequest request{.least = blocks, .most = blocks, .alignment = alignment, .owner = kInodesOwner};
  const std::uint32_t newino = group.agi().newino;
  if (newino != kNullAgInode.value() && geometry.valid_ag_inode(ag, AgInode(newino))) {
    request.near = geometry.ag_block_of(AgInode(newino)) + blocks;
  }
  if (const auto extent = space.allocate(request)) {
    const std::uint32_t inodes = blocks << geometry.inodes_per_block_log;
    transaction_.create_inodes(
        {.ag = ag, .first = geometry.first_inode_of(extent->start), .count = inodes, .generation = generation});
    insert_chunk(group, extent->start, inodes, 0);
    return true;
  }
  if (!geometry.features.sparse() || blocks < 2 || geometry.sparse_align_blocks == 0) return false;
  const std::uint32_t part = std::max(geometry.sparse_align_blocks, (4u >> geometry.inodes_per_block_log) + 1);
  if (part >= blocks) return false;
  // The chunk around a part must lie inside the group.
  const auto extent =
      space.allocate({.least = part, .most = part, .alignment = geometry.sparse_align_blocks, .owner = kInodesOwner});
  if (!extent) return false;
  const AgBlock start{round_down(extent->start.value(), blocks)};
  const std::uint32_t first = (extent->start - start) << geometry.inodes_per_block_log;
  const std::uint32_t inodes = part << geometry.inodes_per_block_log;
  const std::uint32_t bits = ((1u << (inodes / kPerHoleBit)) - 1) << (first / kPerHoleBit);
  const bool inside = start.value() >= geometry.ag_header_blocks() && start.value() + blocks <= group.length_blocks();
  ChunkTree tree(group, BtreeKind::kInobt);
  const be32 key = key_of(geometry.first_inode_of(start));
  const bool there = tree.find_at_most(key) && tree.record().startino == key.get();
  if (!inside) {
    space.free(*extent, kInodesOwner);
    return false;
  }
  transaction_.create_inodes(
      {.ag = ag, .first = geometry.first_inode_of(extent->start), .count = inodes, .generation = generation});
  if (!there) {
    insert_chunk(group, start, inodes, static_cast<std::uint16_t>(~bits));
    return true;
  }
  InodeChunk chunk = InodeChunk::decode(tree.record(), true);
  const std::uint32_t before = chunk.freecount;
  chunk.holemask = static_cast<std::uint16_t>(chunk.holemask & ~bits);
  chunk.count += inodes;
  chunk.freecount += inodes;
  group.change_agi().count += inodes;
  transaction_.counter_change().inodes += inodes;
  store(group, chunk, before);
  return true;
}

InodeNumber InodeAllocator::allocate(const NewInode& request) {
  const Geometry& geometry = transaction_.geometry();
  const bool directory = (request.mode & kFileTypeMask) == static_cast<std::uint16_t>(FileType::kDirectory);
  const AgNumber home = geometry.ag_of(request.parent);
  // Directories go round the groups; what tells the turn is how many inodes there are.
  const std::uint32_t first = directory ? static_cast<std::uint32_t>((home.value() + transaction_.counters().inodes -
                                                                      transaction_.counters().free_inodes) %
                                                                     geometry.ag_count)
                                        : home.value();
  const bool add = may_add();
  for (const bool grow : {false, true}) {
    for (std::uint32_t i = 0; i < geometry.ag_count; ++i) {
      const AgNumber ag{(first + i) % geometry.ag_count};
      std::optional<AgInode> near;
      if (ag == home && !directory) near = geometry.ag_inode_of(request.parent);
      auto ino = take_free(ag, near);
      // A chunk of its own in the group it belongs in comes before a free inode elsewhere.
      if (!ino && add && (grow || i == 0) && add_chunk(ag, request.generation)) ino = take_free(ag, near);
      if (!ino) continue;
      fill(*ino, request);
      return *ino;
    }
  }
  throw RefusalError(Errc::kNoSpace,
                     fmt::format("{}: no space left for inodes", transaction_.journal().device().name()));
}

void InodeAllocator::fill(InodeNumber ino, const NewInode& request) {
  const Geometry& geometry = transaction_.geometry();
  const InodeEdit inode(transaction_, ino);
  if (inode.core().allocated()) {
    corrupt(geometry.ag_of(ino), geometry.ag_inode_of(ino), "is in use, though its chunk says it is free");
  }
  const MutableByteSpan bytes = inode.change();
  const InodeCore old = view<InodeCore>(bytes);
  std::fill(bytes.begin(), bytes.end(), std::byte{0});
  auto& core = mutable_view<InodeCore>(bytes);
  core.magic = InodeCore::kMagic;
  core.version = InodeCore::kVersion;
  core.mode = request.mode;
  core.uid = request.uid;
  core.gid = request.gid;
  core.projid_lo = static_cast<std::uint16_t>(request.projid);
  core.projid_hi = static_cast<std::uint16_t>(request.projid >> 16);
  core.aformat = static_cast<std::uint8_t>(ForkFormat::kExtents);
  core.gen = request.generation == old.gen ? request.generation + 1 : request.generation;
  core.next_unlinked = kNullAgInode.value();
  core.changecount = 1;
  core.lsn = old.lsn;
  core.flags2 = (geometry.features.bigtime() ? inode_flags2::kBigtime : 0) |
                (geometry.features.nrext64() ? inode_flags2::kNrext64 : 0);
  core.ino = ino.value();
  core.uuid = geometry.uuid;
  const std::uint64_t now = encode_timestamp(request.now, core.bigtime());
  core.atime = now;
  core.mtime = now;
  core.ctime = now;
  core.crtime = now;
  switch (core.type()) {
    case FileType::kFifo:
    case FileType::kSocket:
    case FileType::kCharacterDevice:
    case FileType::kBlockDevice:
      core.format = static_cast<std::uint8_t>(ForkFormat::kDev);
      mutable_view<be32>(bytes, sizeof(InodeCore)) = request.rdev;
      break;
    default:
      core.format = static_cast<std::uint8_t>(ForkFormat::kExtents);
      break;
  }
}

void InodeAllocator::remove_chunk(Group& group, const InodeChunk& chunk) {
  const Geometry& geometry = group.geometry();
  ChunkTree all(group, BtreeKind::kInobt);
  if (!all.find_at_most(key_of(chunk.start)) || all.record().startino != chunk.start.value()) {
    corrupt(group.ag(), chunk.start, "starts no chunk");
  }
  all.erase();
  if (geometry.features.finobt()) {
    ChunkTree free(group, BtreeKind::kFinobt);
    if (free.find_at_most(key_of(chunk.start)) && free.record().startino == chunk.start.value()) free.erase();
  }
  Agi& agi = group.change_agi();
  agi.count -= chunk.count;
  agi.freecount -= chunk.freecount;
  if (agi.newino == chunk.start.value()) agi.newino = kNullAgInode.value();
  transaction_.counter_change().inodes -= chunk.count;
  transaction_.counter_change().free_inodes -= chunk.freecount;
  // Runs of inodes that exist, whole blocks each.
  const std::uint64_t existing = chunk.existing_mask();
  const std::uint32_t per_block = geometry.inodes_per_block;
  const AgBlock first = geometry.ag_block_of(chunk.start);
  const std::uint32_t blocks = geometry.inode_chunk_blocks();
  for (std::uint32_t block = 0; block < blocks;) {
    std::uint32_t end = block;
    while (end < blocks && (existing >> (end * per_block) & 1) != 0) ++end;
    if (end == block) {
      ++block;
      continue;
    }
    for (AgBlock at = first + block; at < first + end;) {
      const BlockPlace place =
          inode_cluster_place(geometry, geometry.inode_number(group.ag(), geometry.first_inode_of(at)));
      transaction_.give_up(place);
      at += std::max(place.length_bytes >> geometry.block_log, 1u);
    }
    FreeSpace(group).free({.start = first + block, .length_blocks = end - block}, kInodesOwner);
    block = end;
  }
}

void InodeAllocator::free(InodeNumber ino) {
  const Geometry& geometry = transaction_.geometry();
  const InodeEdit inode(transaction_, ino);
  const MutableByteSpan bytes = inode.change();
  const InodeCore old = view<InodeCore>(bytes);
  if (old.nblocks != 0 || data_extent_count(old) != 0 || attr_extent_count(old) != 0) {
    corrupt(geometry.ag_of(ino), geometry.ag_inode_of(ino), "counts blocks, but has none");
  }
  std::fill(bytes.begin(), bytes.end(), std::byte{0});
  auto& core = mutable_view<InodeCore>(bytes);
  core.magic = InodeCore::kMagic;
  core.version = InodeCore::kVersion;
  core.format = static_cast<std::uint8_t>(ForkFormat::kExtents);
  core.aformat = static_cast<std::uint8_t>(ForkFormat::kExtents);
  core.gen = old.gen + 1;
  core.next_unlinked = kNullAgInode.value();
  core.changecount = old.changecount + 1;
  core.lsn = old.lsn;
  core.flags2 = old.flags2 & (inode_flags2::kBigtime | inode_flags2::kNrext64);
  core.atime = old.atime;
  core.mtime = old.mtime;
  core.ctime = old.ctime;
  core.crtime = old.crtime;
  core.ino = ino.value();
  core.uuid = geometry.uuid;

  Group group(transaction_, geometry.ag_of(ino));
  InodeChunk chunk = chunk_at(group, geometry.ag_inode_of(ino));
  const std::uint32_t index = geometry.ag_inode_of(ino).value() - chunk.start.value();
  if ((chunk.free_mask >> index & 1) != 0) corrupt(group.ag(), geometry.ag_inode_of(ino), "is free already");
  chunk.free_mask |= 1ull << index;
  ++chunk.freecount;
  store(group, chunk, chunk.freecount - 1);
  if (chunk.freecount == chunk.count && geometry.inodes_per_block <= limits::kInodesPerChunk) {
    remove_chunk(group, chunk);
  }
}

}  // namespace xdax
