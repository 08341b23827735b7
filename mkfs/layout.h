// Where everything lies in a new allocation group, and the bytes of its headers and tree roots.
//
//   | superblock AGF AGI AGFL | bno | cnt | inobt | finobt | rmap | refcount | (gap) log | ... free list ... inodes ...
//   free |
//
// AgLayout is arithmetic over a plan; render_group() turns it into the blocks from the group's start to its last tree
// root, ready to be written in one piece. Nothing here does I/O.
#pragma once

#include <cstdint>
#include <vector>

#include "libfs/base/bytes.h"
#include "libfs/format/btree_records.h"
#include "mkfs/plan.h"

namespace xdax::mkfs {

/// A run of blocks of one group.
struct BlockRun {
  std::uint32_t start = 0;
  std::uint32_t length = 0;  ///< 0: there is none
  [[nodiscard]] std::uint32_t end() const { return start + length; }
};

struct AgLayout {
  std::uint32_t length = 0;  ///< blocks of the group
  std::uint32_t bno_root = 0;
  std::uint32_t cnt_root = 0;
  std::uint32_t inobt_root = 0;
  std::uint32_t finobt_root = 0;  ///< 0 without the feature, likewise below
  std::uint32_t rmap_root = 0;
  std::uint32_t refcount_root = 0;
  std::uint32_t fixed = 0;  ///< blocks up to the last root
  BlockRun log;
  BlockRun free_list;
  BlockRun inodes;             ///< the chunk of the root directory, in group 0
  std::vector<BlockRun> free;  ///< by block; never empty runs, never touching

  [[nodiscard]] std::uint64_t free_blocks() const;
  [[nodiscard]] std::uint32_t longest_free() const;
};

/// Lays out group `ag`. Throws RefusalError (kNoSpace) when the group cannot hold what it must.
[[nodiscard]] AgLayout lay_out_group(const Geometry& geometry, AgNumber ag);

/// Blocks the free list starts with: each tree that takes its blocks from it may grow by one level in one transaction.
/// A group so small that a tree can never have two levels needs one less.
[[nodiscard]] std::uint32_t free_list_blocks(const Geometry& geometry);

/// Inodes of the chunks made in group 0: 64, or a whole block of them where a block holds more.
[[nodiscard]] std::uint32_t first_inode_count(const Geometry& geometry);

/// Fills the plan's root inode numbers and counters from the layout of its groups.
void place_root_inodes(Plan& plan);

/// Blocks free for files all over: what fdblocks says, free lists included.
[[nodiscard]] std::uint64_t count_free_blocks(const Geometry& geometry);

/// Renders the superblock copy (inprogress set, as every copy but the finished primary has it), AGF, AGI, AGFL and the
/// tree roots of `ag` into `blocks`, which is layout.fixed blocks of zeros.
void render_group(const Plan& plan, AgNumber ag, const AgLayout& layout, MutableByteSpan blocks);

/// Renders the finished primary superblock into one sector of zeros.
void render_primary_superblock(const Plan& plan, MutableByteSpan sector);

}  // namespace xdax::mkfs
