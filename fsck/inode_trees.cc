#include "fsck/inode_trees.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <vector>

#include "fsck/free_space.h"
#include "fsck/tree_walk.h"
#include "libfs/format/btree_records.h"

namespace xdax::fsck {
namespace {

struct Walked {
  std::vector<InodeChunk> chunks;
  bool intact = false;
  std::uint64_t blocks = 0;
};

Walked walk(GroupContext& context, const TreeRoot& root) {
  Walked walked;
  if (!can_walk(context, root.block.value(), root.levels)) return walked;
  const bool sparse = context.geometry.features.sparse();
  TreeWalk tree(context, root);
  tree.walk_nodes();
  tree.walk_leaves([&](ByteSpan records, std::uint32_t count) {
    for (const InodeChunkRecord& record : view_array<InodeChunkRecord>(records, 0, count)) {
      walked.chunks.push_back(InodeChunk::decode(record, sparse));
    }
  });
  walked.intact = tree.intact();
  walked.blocks = tree.blocks();
  return walked;
}

Finding place_of(const GroupContext& context, const char* tree, const InodeChunk& chunk) {
  Finding finding = context.place(tree, context.geometry.ag_block_of(chunk.start));
  finding.inode = context.geometry.inode_number(context.ag, chunk.start).value();
  return finding;
}

// Claims the blocks of chunks. Where blocks are larger than a chunk, several chunks share one.
class ChunkBlocks {
 public:
  explicit ChunkBlocks(GroupContext& context) : context_(context) {}

  void add(const InodeChunk& chunk) {
    const std::uint64_t existing = chunk.existing_mask();
    const std::uint32_t per_block = context_.geometry.inodes_per_block;
    const AgBlock first = context_.geometry.ag_block_of(chunk.start);
    if (per_block >= limits::kInodesPerChunk) {
      add_to_block(first, static_cast<std::uint32_t>(std::popcount(existing)), chunk);
      return;
    }
    const std::uint64_t block_mask = (1ull << per_block) - 1;
    for (std::uint32_t i = 0; i < limits::kInodesPerChunk / per_block; ++i) {
      const std::uint64_t there = existing >> (i * per_block) & block_mask;
      if (there != 0) add_to_block(first + i, static_cast<std::uint32_t>(std::popcount(there)), chunk);
    }
  }

  void finish() {
    if (inodes_ == 0) return;
    // A damaged chunk may be misaligned, and its last block lie past the group.
    if (context_.geometry.valid_ag_block(context_.ag, block_)) context_.claims.add(Claimant::kInodes, {block_});
    if (inodes_ != context_.geometry.inodes_per_block) {
      Finding finding = context_.place("inobt", block_);
      finding.inode = inode_;
      finding.found = inodes_;
      finding.expected = context_.geometry.inodes_per_block;
      finding.detail = "inodes of the block that belong to chunks: ought to be all";
      context_.add(Problem::kInobtPartialBlock, std::move(finding));
    }
    inodes_ = 0;
  }

 private:
  void add_to_block(AgBlock block, std::uint32_t inodes, const InodeChunk& chunk) {
    if (inodes_ != 0 && block_ != block) finish();
    if (inodes_ == 0) inode_ = context_.geometry.inode_number(context_.ag, chunk.start).value();
    block_ = block;
    inodes_ += inodes;
  }

  GroupContext& context_;
  AgBlock block_;
  std::uint32_t inodes_ = 0;
  std::uint64_t inode_ = 0;
};

bool same(const InodeChunk& left, const InodeChunk& right) {
  return left.holemask == right.holemask && left.count == right.count && left.freecount == right.freecount &&
         left.free_mask == right.free_mask;
}

// Every chunk with a free inode is in the free tree, exactly so, and no other.
void compare_trees(GroupContext& context, const std::vector<InodeChunk>& all, const std::vector<InodeChunk>& free) {
  std::size_t j = 0;
  const auto stale = [&] { context.add(Problem::kFinobtStale, place_of(context, "finobt", free[j])); };
  for (const InodeChunk& chunk : all) {
    for (; j < free.size() && free[j].start < chunk.start; ++j) stale();
    const bool listed = j < free.size() && free[j].start == chunk.start;
    if (listed && !same(chunk, free[j])) {
      Finding finding = place_of(context, "finobt", chunk);
      finding.found = free[j].free_mask;
      finding.expected = chunk.free_mask;
      finding.detail = fmt::format("free mask {:#x}, holes {:#x}; inobt has {:#x} and {:#x}", free[j].free_mask,
                                   free[j].holemask, chunk.free_mask, chunk.holemask);
      context.add(Problem::kFinobtDiffers, std::move(finding));
    } else if (!listed && chunk.freecount > 0) {
      context.add(Problem::kFinobtMissing, place_of(context, "finobt", chunk));
    }
    if (listed) ++j;
  }
  for (; j < free.size(); ++j) stale();
}

void check_unlinked(GroupContext& context, const Agi& agi, const std::vector<InodeChunk>& chunks) {
  for (std::uint32_t bucket = 0; bucket < Agi::kUnlinkedBuckets; ++bucket) {
    const AgInode head{agi.unlinked[bucket]};
    // A head outside the group is the header's own flaw.
    if (head == kNullAgInode || !context.geometry.valid_ag_inode(context.ag, head)) continue;
    const auto after = std::upper_bound(chunks.begin(), chunks.end(), head,
                                        [](AgInode inode, const InodeChunk& chunk) { return inode < chunk.start; });
    bool allocated = false;
    if (after != chunks.begin()) {
      const InodeChunk& chunk = *std::prev(after);
      const std::uint32_t index = head - chunk.start;
      allocated = index < limits::kInodesPerChunk && (chunk.free_mask >> index & 1) == 0;
    }
    if (allocated) continue;
    Finding finding = context.place("agi");
    finding.field = "agi.unlinked";
    finding.inode = context.geometry.inode_number(context.ag, head).value();
    finding.found = head.value();
    finding.detail = fmt::format("bucket {}", bucket);
    context.add(Problem::kAgiUnlinked, std::move(finding));
  }
}

// What can be looked for inodes in. The others were reported; they lie outside the group, or over one another.
std::vector<ChunkPlace> sound_chunks(const GroupContext& context, const std::vector<InodeChunk>& chunks) {
  std::vector<ChunkPlace> sound;
  for (const InodeChunk& chunk : chunks) {
    const std::uint64_t existing = chunk.existing_mask();
    if (existing == 0) continue;
    const auto first = static_cast<std::uint32_t>(std::countr_zero(existing));
    const auto last = static_cast<std::uint32_t>(std::bit_width(existing)) - 1;
    if (chunk.start.value() > 0xffffffffu - limits::kInodesPerChunk ||
        !context.geometry.valid_ag_inode(context.ag, chunk.start + first) ||
        !context.geometry.valid_ag_inode(context.ag, chunk.start + last)) {
      continue;
    }
    if (!sound.empty() && chunk.start.value() < std::uint64_t{sound.back().start.value()} + limits::kInodesPerChunk) {
      continue;
    }
    sound.push_back({.start = chunk.start, .holemask = chunk.holemask, .free_mask = chunk.free_mask});
  }
  return sound;
}

}  // namespace

InodeTrees check_inode_trees(GroupContext& context, const Agi& agi) {
  const Features& features = context.geometry.features;
  InodeTrees trees;
  const Walked all = walk(context, {BtreeKind::kInobt, AgBlock(agi.root), agi.level});
  trees.intact = all.intact;
  ChunkBlocks blocks(context);
  for (const InodeChunk& chunk : all.chunks) {
    trees.inodes += chunk.count;
    trees.free_inodes += chunk.freecount;
    blocks.add(chunk);
  }
  blocks.finish();
  trees.chunks = sound_chunks(context, all.chunks);
  if (trees.intact) {
    check_counter(context, {Problem::kTotalInodes, "agi", "agi.count"}, agi.count, trees.inodes);
    check_counter(context, {Problem::kTotalFreeInodes, "agi", "agi.freecount"}, agi.freecount, trees.free_inodes);
    check_unlinked(context, agi, all.chunks);
    if (features.inobtcount()) {
      check_counter(context, {Problem::kTotalIblocks, "agi", "agi.iblocks"}, agi.iblocks, all.blocks);
    }
  }
  trees.free_intact = true;
  if (!features.finobt()) return trees;
  const Walked free = walk(context, {BtreeKind::kFinobt, AgBlock(agi.free_root), agi.free_level});
  trees.free_intact = free.intact;
  if (!free.intact) return trees;
  if (trees.intact) compare_trees(context, all.chunks, free.chunks);
  if (features.inobtcount()) {
    check_counter(context, {Problem::kTotalFblocks, "agi", "agi.fblocks"}, agi.fblocks, free.blocks);
  }
  return trees;
}

}  // namespace xdax::fsck
