#include "libfs/journal/log_changes.h"

#include <algorithm>
#include <cstring>

#include "libfs/base/crc32c.h"
#include "libfs/base/math.h"
#include "libfs/format/block_stamp.h"
#include "libfs/format/btree_block.h"
#include "libfs/format/inode.h"
#include "libfs/format/inode_fork.h"

namespace xdax {
namespace {

constexpr std::size_t kPiece = BufLogFormat::kPieceBytes;
constexpr std::uint64_t kLeastInode = 512;

template <class T>
LogRegion region_of(const T& structure) {
  const auto bytes = std::as_bytes(std::span(&structure, 1));
  return {bytes.begin(), bytes.end()};
}

// Regions are whole words.
LogRegion padded(ByteSpan bytes) {
  LogRegion region(bytes.begin(), bytes.end());
  region.resize(round_up(region.size(), sizeof(be32)));
  return region;
}

// A buffer item of the pieces that are marked.
LogItem buffer_item(const BlockPlace& place, ByteSpan bytes, const std::vector<bool>& marked, std::uint16_t flags) {
  const auto words = static_cast<std::uint32_t>(div_ceil(marked.size(), BufLogFormat::kBitsPerMapWord));
  LogItem item{.type = LogItemType::kBuffer, .regions = {}};
  item.regions.emplace_back(sizeof(BufLogFormat) + words * sizeof(le32));
  std::vector<std::uint32_t> map(words);
  for (std::size_t first = 0; first < marked.size();) {
    if (!marked[first]) {
      ++first;
      continue;
    }
    std::size_t end = first;
    for (; end < marked.size() && marked[end]; ++end) {
      map[end / BufLogFormat::kBitsPerMapWord] |= 1u << (end % BufLogFormat::kBitsPerMapWord);
    }
    const ByteSpan run = bytes.subspan(first * kPiece, (end - first) * kPiece);
    item.regions.emplace_back(run.begin(), run.end());
    first = end;
  }
  auto& format = mutable_view<BufLogFormat>(item.regions[0]);
  format.type = static_cast<std::uint16_t>(LogItemType::kBuffer);
  format.size = static_cast<std::uint16_t>(item.regions.size());
  format.flags = flags;
  format.len = static_cast<std::uint16_t>(place.length_bytes >> kBasicBlockLog);
  format.blkno = place.byte >> kBasicBlockLog;
  format.map_size = words;
  const auto stored = mutable_view_array<le32>(item.regions[0], sizeof(BufLogFormat), words);
  std::copy(map.begin(), map.end(), stored.begin());
  return item;
}

std::uint16_t flags_of(BufLogType type) {
  return static_cast<std::uint16_t>(static_cast<unsigned>(type) << buf_log_flags::kTypeShift);
}

// A tree root is logged as the block it is in memory: a whole header, keys, pointers. Only counts and level are read
// back.
LogRegion logged_root(ByteSpan fork) {
  const BmapRootLayout layout(static_cast<std::uint32_t>(fork.size()));
  const auto& root = view<BmapRootHeader>(fork);
  const std::size_t bytes = std::size_t{root.numrecs} * sizeof(be64);
  LogRegion region(sizeof(LongBtreeHeader) + 2 * bytes);
  auto& header = mutable_view<LongBtreeHeader>(region);
  header.magic = btree_spec(BtreeKind::kBmap).magic;
  header.level = root.level.get();
  header.numrecs = root.numrecs.get();
  header.leftsib = kNullFsBlock.value();
  header.rightsib = kNullFsBlock.value();
  std::memcpy(region.data() + sizeof(LongBtreeHeader), fork.data() + layout.key_offset(0), bytes);
  std::memcpy(region.data() + sizeof(LongBtreeHeader) + bytes, fork.data() + layout.pointer_offset(0), bytes);
  return region;
}

struct ForkRegion {
  std::uint32_t field = 0;
  LogRegion region;  ///< empty: nothing to say
};

ForkRegion fork_region(ByteSpan inode, Fork fork) {
  const auto& core = view<InodeCore>(inode);
  const bool data = fork == Fork::kData;
  const ByteSpan bytes = fork_bytes(inode, fork);
  switch (fork_format(core, fork)) {
    case ForkFormat::kLocal: {
      // Of attributes the header says how long they are; logging all of the fork says no less.
      const std::size_t size = data ? std::min<std::size_t>(core.size, bytes.size()) : bytes.size();
      return {data ? inode_log_fields::kDataLocal : inode_log_fields::kAttrLocal, padded(bytes.first(size))};
    }
    case ForkFormat::kExtents: {
      const auto extents = std::as_bytes(fork_extents(inode, fork));
      return {data ? inode_log_fields::kDataExtents : inode_log_fields::kAttrExtents, {extents.begin(), extents.end()}};
    }
    case ForkFormat::kBtree:
      return {data ? inode_log_fields::kDataRoot : inode_log_fields::kAttrRoot, logged_root(bytes)};
    default:
      return {};
  }
}

LogItem inode_item(const BlockPlace& cluster, std::uint32_t offset_bytes, ByteSpan inode) {
  const auto& core = view<InodeCore>(inode);
  InodeLogFormat format{};
  std::uint32_t fields = inode_log_fields::kCore;
  LogItem item{.type = LogItemType::kInode, .regions = {}};
  item.regions.emplace_back();
  item.regions.push_back(region_of(logged_core_of_disk(core)));
  if (core.allocated()) {
    if (fork_format(core, Fork::kData) == ForkFormat::kDev) {
      fields |= inode_log_fields::kDev;
      format.rdev = view<be32>(inode, sizeof(InodeCore)).get();
    }
    const auto add = [&](Fork fork, le16& size) {
      ForkRegion logged = fork_region(inode, fork);
      if (logged.region.empty()) return;
      fields |= logged.field;
      size = static_cast<std::uint16_t>(logged.region.size());
      item.regions.push_back(std::move(logged.region));
    };
    add(Fork::kData, format.dsize);
    if (core.forkoff != 0) add(Fork::kAttr, format.asize);
  }
  format.type = static_cast<std::uint16_t>(LogItemType::kInode);
  format.size = static_cast<std::uint16_t>(item.regions.size());
  format.fields = fields;
  format.ino = core.ino.get();
  format.blkno = cluster.byte >> kBasicBlockLog;
  format.len = cluster.length_bytes >> kBasicBlockLog;
  format.boffset = offset_bytes;
  item.regions[0] = region_of(format);
  return item;
}

// Calls use(offset, inode) for every inode that differs.
template <class Use>
void for_changed_inodes(const Geometry& geometry, ByteSpan before, ByteSpan after, const Use& use) {
  for (std::size_t at = 0; at + geometry.inode_bytes <= after.size(); at += geometry.inode_bytes) {
    const ByteSpan inode = after.subspan(at, geometry.inode_bytes);
    if (!before.empty() && std::memcmp(before.data() + at, inode.data(), inode.size()) == 0) continue;
    use(at, inode);
  }
}

void append_cluster(std::vector<LogItem>& items, const Geometry& geometry, const BlockChange& change) {
  std::vector<bool> pointers(change.after.size() / kPiece);
  bool any = false;
  for_changed_inodes(geometry, change.before, change.after, [&](std::size_t at, ByteSpan inode) {
    items.push_back(inode_item(change.place, static_cast<std::uint32_t>(at), inode));
    const bool same = !change.before.empty() && view<InodeCore>(change.before, at).next_unlinked ==
                                                    view<InodeCore>(change.after, at).next_unlinked;
    if (same) return;
    pointers[(at + offsetof(InodeCore, next_unlinked)) / kPiece] = true;
    any = true;
  });
  if (!any) return;
  items.push_back(
      buffer_item(change.place, change.after, pointers, flags_of(BufLogType::kInodes) | buf_log_flags::kInode));
}

}  // namespace

void append_change(std::vector<LogItem>& items, const Geometry& geometry, const BlockChange& change) {
  if (change.kind == MetadataKind::kInodes) {
    append_cluster(items, geometry, change);
    return;
  }
  std::vector<bool> marked(change.after.size() / kPiece);
  bool any = false;
  for (std::size_t i = 0; i < marked.size(); ++i) {
    marked[i] = change.before.empty() ||
                std::memcmp(change.before.data() + i * kPiece, change.after.data() + i * kPiece, kPiece) != 0;
    any = any || marked[i];
  }
  if (any) items.push_back(buffer_item(change.place, change.after, marked, flags_of(log_type_of(change.after))));
}

void append_given_up(std::vector<LogItem>& items, const BlockPlace& place) {
  items.push_back(buffer_item(place, {}, std::vector<bool>(place.length_bytes / kPiece), buf_log_flags::kCancel));
}

std::uint64_t change_regions(std::uint32_t block_bytes) {
  // Every other piece; or four regions for each inode of the least size, and a buffer item with a pointer of each.
  return 2 + 5 * (block_bytes / kLeastInode);
}

std::uint64_t change_bytes(std::uint32_t block_bytes) {
  const std::uint64_t inodes = block_bytes / kLeastInode;
  const std::uint64_t map = sizeof(BufLogFormat) + block_bytes / kPiece / 8 + sizeof(le32);
  // A tree root grows by its header.
  return block_bytes + map + inodes * (sizeof(InodeLogFormat) + 2 * sizeof(LongBtreeHeader) + kPiece);
}

std::vector<std::byte> stamped(const Geometry& geometry, const BlockChange& change, Lsn lsn) {
  std::vector<std::byte> copy(change.after.begin(), change.after.end());
  if (change.kind == MetadataKind::kInodes) {
    for_changed_inodes(geometry, change.before, change.after, [&](std::size_t at, ByteSpan /*inode*/) {
      const MutableByteSpan inode = MutableByteSpan(copy).subspan(at, geometry.inode_bytes);
      mutable_view<InodeCore>(inode).lsn = lsn.encode();
      seal(inode, offsetof(InodeCore, crc));
    });
  } else if (const auto stamp = stamp_of(copy)) {
    stamp->set(copy, lsn.encode());
  }
  return copy;
}

void seal_changes(const Geometry& geometry, MetadataKind kind, ByteSpan before, MutableByteSpan after) {
  if (kind == MetadataKind::kInodes) {
    for_changed_inodes(geometry, before, after, [&](std::size_t at, ByteSpan inode) {
      seal(after.subspan(at, inode.size()), offsetof(InodeCore, crc));
    });
  } else if (const auto stamp = stamp_of(after)) {
    seal(after, stamp->crc_offset);
  }
}

Flaws verify_changes(const Geometry& geometry, std::uint64_t byte, const MetadataIdentity& identity, ByteSpan before,
                     ByteSpan after) {
  if (identity.kind != MetadataKind::kInodes) return verify_metadata(after, geometry, byte, identity);
  Flaws flaws;
  const FsBlock block = fs_block_of_byte(geometry, byte);
  const AgInode first = geometry.first_inode_of(geometry.ag_block_of(block));
  for_changed_inodes(geometry, before, after, [&](std::size_t at, ByteSpan inode) {
    const auto index = static_cast<std::uint32_t>(at >> geometry.inode_log);
    flaws.add_all(verify_inode(inode, geometry, {.ino = geometry.inode_number(geometry.ag_of(block), first + index)}));
  });
  return flaws;
}

void fill_new_inodes(const Geometry& geometry, const NewInodes& inodes, MutableByteSpan target) {
  for (std::uint32_t i = 0; i < inodes.count; ++i) {
    const MutableByteSpan bytes = target.subspan(std::size_t{i} << geometry.inode_log, geometry.inode_bytes);
    auto& core = mutable_view<InodeCore>(bytes);
    core.magic = InodeCore::kMagic;
    core.version = InodeCore::kVersion;
    core.gen = inodes.generation;
    core.next_unlinked = kNullAgInode.value();
    core.ino = geometry.inode_number(inodes.ag, inodes.first + i).value();
    core.uuid = geometry.uuid;
    seal(bytes, offsetof(InodeCore, crc));
  }
}

LogItem new_inodes_item(const Geometry& geometry, const NewInodes& inodes) {
  IcreateLog item{};
  item.type = static_cast<std::uint16_t>(LogItemType::kIcreate);
  item.size = 1;
  item.ag = inodes.ag.value();
  item.agbno = geometry.ag_block_of(inodes.first).value();
  item.count = inodes.count;
  item.isize = geometry.inode_bytes;
  item.length = div_ceil(inodes.count, geometry.inodes_per_block);
  item.gen = inodes.generation;
  return {.type = LogItemType::kIcreate, .regions = {region_of(item)}};
}

}  // namespace xdax
