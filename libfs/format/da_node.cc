#include "libfs/format/da_node.h"

#include <algorithm>

#include "libfs/base/crc32c.h"

namespace xdax {
namespace {

std::uint32_t max_entries(std::size_t block_bytes) {
  return static_cast<std::uint32_t>((block_bytes - sizeof(DaNodeHeader)) / sizeof(DaNodeEntry));
}

}  // namespace

bool valid_da_block(const Geometry& geometry, Fork fork, std::uint32_t file_block) {
  if (fork == Fork::kAttr) return file_block < geometry.max_file_blocks();
  const DirRegions regions = DirRegions::of(geometry);
  return file_block >= regions.leaf.value() && file_block < regions.free.value() &&
         (file_block & ((1u << geometry.dir_block_log) - 1)) == 0;
}

bool check_da_info(Flaws& flaws, ByteSpan block, const Geometry& geometry, Fork fork, const DaExpectation& expected,
                   std::uint16_t magic) {
  XDAX_ASSERT(block.size() == da_block_bytes(geometry, fork));
  const auto& info = view<DaBlockInfo>(block);
  if (info.magic != magic) {
    flaws.add({FlawKind::kMagic, "da.magic", offsetof(DaBlockInfo, magic), info.magic, magic, "the magic of its kind"});
    return false;
  }
  if (const std::uint32_t computed = structure_checksum(block, offsetof(DaBlockInfo, crc)); computed != info.crc) {
    flaws.add(
        {FlawKind::kChecksum, "da.crc", offsetof(DaBlockInfo, crc), info.crc, computed, "the checksum of the block"});
  }
  if (info.uuid != geometry.uuid) {
    flaws.add({FlawKind::kUuid, "da.uuid", offsetof(DaBlockInfo, uuid), 0, 0, "the uuid of this filesystem"});
  }
  if (const DiskAddress address = geometry.disk_address(expected.block); info.blkno != address.value()) {
    flaws.add({FlawKind::kSelfAddress, "da.blkno", offsetof(DaBlockInfo, blkno), info.blkno, address.value(),
               "its own disk address"});
  }
  if (info.owner != expected.owner.value()) {
    flaws.add(
        {FlawKind::kOwner, "da.owner", offsetof(DaBlockInfo, owner), info.owner, expected.owner.value(), "its inode"});
  }
  const auto check_sibling = [&](const char* field, std::size_t at, std::uint32_t sibling) {
    if (sibling != 0 && (!valid_da_block(geometry, fork, sibling) || sibling == expected.file_block.value())) {
      flaws.add(
          {FlawKind::kPointer, field, static_cast<std::uint32_t>(at), sibling, 0, "zero or another block of the tree"});
    }
  };
  check_sibling("da.forw", offsetof(DaBlockInfo, forw), info.forw);
  check_sibling("da.back", offsetof(DaBlockInfo, back), info.back);
  if (info.forw != 0 && info.forw == info.back) {
    flaws.add({FlawKind::kConsistency, "da.forw", offsetof(DaBlockInfo, forw), info.forw, info.back,
               "not the block before it too"});
  }
  return true;
}

std::span<const DaNodeEntry> da_node_entries(ByteSpan block) {
  const std::uint32_t count = view<DaNodeHeader>(block).count;
  return view_array<DaNodeEntry>(block, sizeof(DaNodeHeader), std::min(count, max_entries(block.size())));
}

Flaws verify_da_node(ByteSpan block, const Geometry& geometry, Fork fork, const DaExpectation& expected,
                     std::optional<std::uint32_t> level) {
  Flaws flaws;
  if (!check_da_info(flaws, block, geometry, fork, expected, DaNodeHeader::kMagic)) return flaws;
  const auto& header = view<DaNodeHeader>(block);
  if (header.level == 0 || header.level > limits::kMaxDaLevels || (level && header.level != *level)) {
    flaws.add({FlawKind::kLevel, "da_node.level", offsetof(DaNodeHeader, level), header.level,
               level.value_or(limits::kMaxDaLevels), "the level its parent expects, 1 to 5"});
  }
  const std::uint32_t most = max_entries(block.size());
  if (header.count == 0 || header.count > most) {
    flaws.add({FlawKind::kCount, "da_node.count", offsetof(DaNodeHeader, count), header.count, most,
               "one entry to as many as fit the block"});
    return flaws;
  }
  const std::uint64_t root = fork == Fork::kAttr ? 0 : DirRegions::of(geometry).leaf.value();
  std::uint32_t previous_hash = 0;
  for (std::uint32_t i = 0; i < header.count; ++i) {
    const auto at = static_cast<std::uint32_t>(sizeof(DaNodeHeader) + i * sizeof(DaNodeEntry));
    const auto& entry = view<DaNodeEntry>(block, at);
    if (entry.hashval < previous_hash) {
      flaws.add(
          {FlawKind::kOrder, "da_node.hashval", at, entry.hashval, previous_hash, "not below the hash before it"});
    }
    previous_hash = entry.hashval;
    // The tree's first block is its root for good, and nobody's child.
    const bool legal = entry.before != root && valid_da_block(geometry, fork, entry.before) &&
                       entry.before != expected.file_block.value();
    if (!legal) {
      flaws.add({FlawKind::kPointer, "da_node.before", at + static_cast<std::uint32_t>(offsetof(DaNodeEntry, before)),
                 entry.before, 0, "another block of the tree, not its root"});
    }
  }
  return flaws;
}

}  // namespace xdax
