#include "libfs/format/agi.h"

#include "libfs/format/ag_header.h"

namespace xdax {
namespace {

void check_inode_pointers(Flaws& flaws, const Agi& agi, const Geometry& geometry, AgNumber ag) {
  const AgInode newino{agi.newino};
  if (newino != kNullAgInode && !geometry.valid_ag_inode(ag, newino)) {
    flaws.add(
        {FlawKind::kPointer, "agi.newino", offsetof(Agi, newino), agi.newino, 0, "null or an inode inside the group"});
  }
  for (std::uint32_t bucket = 0; bucket < Agi::kUnlinkedBuckets; ++bucket) {
    const AgInode head{agi.unlinked[bucket]};
    if (head == kNullAgInode) continue;
    if (!geometry.valid_ag_inode(ag, head) || head.value() % Agi::kUnlinkedBuckets != bucket) {
      flaws.add({FlawKind::kPointer, "agi.unlinked",
                 static_cast<std::uint32_t>(offsetof(Agi, unlinked) + bucket * sizeof(be32)), head.value(), bucket,
                 "null or an inode inside the group that hashes to this bucket"});
    }
  }
}

}  // namespace

Flaws verify_agi(ByteSpan sector, const Geometry& geometry, AgNumber ag) {
  Flaws flaws;
  if (!check_ag_header<Agi>(flaws, sector, geometry, ag,
                            {"agi.magicnum", "agi.crc", "agi.versionnum", "agi.uuid", "agi.seqno", "agi.length"})) {
    return flaws;
  }
  const auto& agi = view<Agi>(sector);
  check_ag_tree_root(flaws, geometry, ag, {"agi.root", offsetof(Agi, root), agi.root, agi.level});
  if (geometry.features.finobt()) {
    check_ag_tree_root(flaws, geometry, ag, {"agi.free_root", offsetof(Agi, free_root), agi.free_root, agi.free_level});
  }
  const std::uint64_t most_inodes = std::uint64_t{geometry.ag_length_blocks(ag)} << geometry.inodes_per_block_log;
  if (agi.count > most_inodes) {
    flaws.add({FlawKind::kCount, "agi.count", offsetof(Agi, count), agi.count, most_inodes,
               "at most the inodes that fit the group"});
  }
  if (agi.freecount > agi.count) {
    flaws.add({FlawKind::kCount, "agi.freecount", offsetof(Agi, freecount), agi.freecount, agi.count, "at most count"});
  }
  check_inode_pointers(flaws, agi, geometry, ag);
  return flaws;
}

}  // namespace xdax
