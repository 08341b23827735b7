#include "mkfs/layout.h"

#include <fmt/format.h>

#include <algorithm>

#include "libfs/base/error.h"
#include "libfs/base/math.h"
#include "libfs/format/log_limits.h"
#include "mkfs/plan_log.h"

namespace xdax::mkfs {
namespace {

// The alignment of the first inode chunk: the stripe unit where chunks can keep to it, else their own.
std::uint32_t chunk_alignment(const Geometry& geometry) {
  const std::uint32_t own = geometry.inode_align_blocks;
  const std::uint32_t cluster_blocks = geometry.inode_cluster_bytes() >> geometry.block_log;
  const std::uint32_t mask = own >= cluster_blocks && own > 0 ? own - 1 : 0;
  const std::uint32_t unit = geometry.stripe_unit_blocks;
  if (unit != 0 && mask != 0 && (unit & mask) == 0) return unit;
  return std::max(own, 1u);
}

// Takes [start, start + length) out of the free run at `index`, leaving what is before and behind it.
BlockRun take(std::vector<BlockRun>& free, std::size_t index, std::uint32_t start, std::uint32_t length) {
  const BlockRun from = free[index];
  XDAX_ASSERT(start >= from.start && start + length <= from.end());
  std::vector<BlockRun> rest;
  if (start > from.start) rest.push_back({from.start, start - from.start});
  if (start + length < from.end()) rest.push_back({start + length, from.end() - start - length});
  free.erase(free.begin() + static_cast<std::ptrdiff_t>(index));
  free.insert(free.begin() + static_cast<std::ptrdiff_t>(index), rest.begin(), rest.end());
  return {start, length};
}

[[noreturn]] void refuse_full(AgNumber ag, const char* what) {
  throw RefusalError(
      Errc::kNoSpace,
      fmt::format("group {} has no room for {}; make the log smaller or the groups larger", ag.value(), what));
}

// The smallest free run that holds it, so that large runs stay whole; the lowest of equals.
BlockRun take_best_fit(std::vector<BlockRun>& free, std::uint32_t length, AgNumber ag, const char* what) {
  std::size_t best = free.size();
  for (std::size_t i = 0; i < free.size(); ++i) {
    if (free[i].length >= length && (best == free.size() || free[i].length < free[best].length)) best = i;
  }
  if (best == free.size()) refuse_full(ag, what);
  return take(free, best, free[best].start, length);
}

BlockRun take_first_aligned(std::vector<BlockRun>& free, std::uint32_t length, std::uint32_t alignment, AgNumber ag,
                            const char* what) {
  for (std::size_t i = 0; i < free.size(); ++i) {
    const std::uint64_t start = round_up(std::uint64_t{free[i].start}, alignment);
    if (start + length <= free[i].end()) return take(free, i, static_cast<std::uint32_t>(start), length);
  }
  refuse_full(ag, what);
}

void place_roots(AgLayout& layout, const Geometry& geometry) {
  std::uint32_t next = geometry.ag_header_blocks();
  layout.bno_root = next++;
  layout.cnt_root = next++;
  layout.inobt_root = next++;
  if (geometry.features.finobt()) layout.finobt_root = next++;
  if (geometry.features.rmapbt()) layout.rmap_root = next++;
  if (geometry.features.reflink()) layout.refcount_root = next++;
  layout.fixed = next;
  XDAX_ASSERT(next == fixed_blocks(geometry));
}

}  // namespace

std::uint64_t AgLayout::free_blocks() const {
  std::uint64_t total = 0;
  for (const BlockRun& run : free) total += run.length;
  return total;
}

std::uint32_t AgLayout::longest_free() const {
  std::uint32_t longest = 0;
  for (const BlockRun& run : free) longest = std::max(longest, run.length);
  return longest;
}

std::uint32_t free_list_blocks(const Geometry& geometry) {
  const std::uint32_t per_tree = std::min(2u, TreeHeights::of(geometry).free_space);
  std::uint32_t blocks = 2 * per_tree;
  if (geometry.features.rmapbt()) {
    const bool one_level = !geometry.features.reflink() && TreeHeights::of(geometry).reverse_map == 1;
    blocks += one_level ? 1 : 2;
  }
  return blocks;
}

std::uint32_t first_inode_count(const Geometry& geometry) {
  return std::max(limits::kInodesPerChunk, geometry.inodes_per_block);
}

AgLayout lay_out_group(const Geometry& geometry, AgNumber ag) {
  AgLayout layout;
  layout.length = geometry.ag_length_blocks(ag);
  place_roots(layout, geometry);
  if (layout.fixed >= layout.length) refuse_full(ag, "its headers");
  layout.free = {{layout.fixed, layout.length - layout.fixed}};
  if (geometry.ag_of(geometry.log_start) == ag) {
    const std::uint32_t start = geometry.ag_block_of(geometry.log_start).value();
    if (start + std::uint64_t{geometry.log_blocks} > layout.length) refuse_full(ag, "the log");
    layout.log = take(layout.free, 0, start, geometry.log_blocks);
  }
  layout.free_list = take_best_fit(layout.free, free_list_blocks(geometry), ag, "its free list");
  if (ag.value() == 0) {
    layout.inodes = take_first_aligned(layout.free, geometry.inode_chunk_blocks(), chunk_alignment(geometry), ag,
                                       "the first inodes");
  }
  if (layout.free.empty()) refuse_full(ag, "any file");
  return layout;
}

std::uint64_t count_free_blocks(const Geometry& geometry) {
  // Only group 0, the log's group and the last one differ from the others.
  std::uint64_t total = 0;
  std::uint64_t ordinary = 0;
  for (std::uint32_t ag = 0; ag < geometry.ag_count; ++ag) {
    const AgNumber number(ag);
    const bool special = ag == 0 || ag + 1 == geometry.ag_count || number == geometry.ag_of(geometry.log_start);
    if (!special && ordinary != 0) {
      total += ordinary;
      continue;
    }
    const AgLayout layout = lay_out_group(geometry, number);
    const std::uint64_t free = layout.free_blocks() + layout.free_list.length;
    total += free;
    if (!special) ordinary = free;
  }
  return total;
}

void place_root_inodes(Plan& plan) {
  const AgLayout first = lay_out_group(plan.geometry, AgNumber(0));
  const AgInode root = plan.geometry.first_inode_of(AgBlock(first.inodes.start));
  const InodeNumber number = plan.geometry.inode_number(AgNumber(0), root);
  constexpr std::uint32_t kUsedInodes = 3;
  plan.superblock.rootino = number.value();
  plan.superblock.rbmino = number.value() + 1;
  plan.superblock.rsumino = number.value() + 2;
  plan.superblock.icount = first_inode_count(plan.geometry);
  plan.superblock.ifree = first_inode_count(plan.geometry) - kUsedInodes;
  plan.superblock.fdblocks = count_free_blocks(plan.geometry);
  plan.geometry = Geometry(plan.superblock);
}

}  // namespace xdax::mkfs
