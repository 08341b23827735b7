#include "libfs/space/free_space.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "libfs/base/error.h"
#include "libfs/base/math.h"
#include "libfs/format/btree_records.h"

namespace xdax {
namespace {

// How many extents of one search are looked at before the best so far is taken.
constexpr unsigned kCandidates = 64;

using FreeTree = TypedTree<FreeRecord>;

FreeRecord record_of(AgBlock start, std::uint32_t length) {
  FreeRecord record;
  record.startblock = start.value();
  record.blockcount = length;
  return record;
}

std::uint32_t end_of(const FreeRecord& record) { return record.startblock + record.blockcount; }

std::uint32_t distance(AgBlock a, AgBlock b) { return a < b ? b.value() - a.value() : a.value() - b.value(); }

}  // namespace

void FreeSpace::corrupt(const GroupExtent& extent, const char* what) const {
  throw CorruptionError(Errc::kBadStructure,
                        fmt::format("{}: group {}: blocks {}+{} {}", group_.transaction().journal().device().name(),
                                    group_.ag().value(), extent.start.value(), extent.length_blocks, what));
}

std::uint32_t FreeSpace::usable_blocks() {
  const Agf& agf = group_.agf();
  const std::uint32_t wanted = group_.list_wanted();
  const std::uint64_t have = std::uint64_t{agf.freeblks} + std::min<std::uint32_t>(agf.flcount, wanted);
  const std::uint64_t kept = std::uint64_t{wanted} + held_back_blocks(group_);
  return have > kept ? static_cast<std::uint32_t>(have - kept) : 0;
}

void FreeSpace::erase(const FreeRecord& record) {
  FreeTree by_block(group_, BtreeKind::kBno);
  const bool found = by_block.find_at_most(record);
  if (!found || by_block.record().startblock != record.startblock) {
    corrupt({.start = AgBlock(record.startblock), .length_blocks = record.blockcount},
            "are in one free-space tree only");
  }
  by_block.erase();
  FreeTree by_size(group_, BtreeKind::kCnt);
  if (!by_size.find_at_most(record) || by_size.record().startblock != record.startblock ||
      by_size.record().blockcount != record.blockcount) {
    corrupt({.start = AgBlock(record.startblock), .length_blocks = record.blockcount},
            "are in one free-space tree only");
  }
  by_size.erase();
}

void FreeSpace::insert(AgBlock start, std::uint32_t length) {
  FreeTree(group_, BtreeKind::kBno).insert(record_of(start, length));
  FreeTree(group_, BtreeKind::kCnt).insert(record_of(start, length));
}

void FreeSpace::note_longest() {
  FreeTree by_size(group_, BtreeKind::kCnt);
  const std::uint32_t longest = by_size.find_last() ? by_size.record().blockcount.get() : 0;
  if (group_.agf().longest != longest) group_.change_agf().longest = longest;
}

// Takes an extent out of the free extent around it.
void FreeSpace::take(const GroupExtent& extent) {
  FreeTree by_block(group_, BtreeKind::kBno);
  const std::uint32_t extent_end = extent.start.value() + extent.length_blocks;
  if (!by_block.find_at_most(record_of(extent.start, 0)) || end_of(by_block.record()) < extent_end) {
    corrupt(extent, "ought to be free");
  }
  const FreeRecord around = by_block.record();
  erase(around);
  if (around.startblock < extent.start.value()) {
    insert(AgBlock(around.startblock), extent.start.value() - around.startblock);
  }
  if (extent_end < end_of(around)) insert(AgBlock(extent_end), end_of(around) - extent_end);
  group_.change_agf().freeblks -= extent.length_blocks;
  note_longest();
}

// Adds an extent, joined with its neighbours.
void FreeSpace::give(const GroupExtent& extent) {
  AgBlock start = extent.start;
  std::uint32_t length = extent.length_blocks;
  const AgBlock extent_end = extent.start + extent.length_blocks;
  FreeTree by_block(group_, BtreeKind::kBno);
  if (by_block.find_at_most(record_of(extent.start, 0))) {
    const FreeRecord left = by_block.record();
    if (end_of(left) > start.value()) corrupt(extent, "are free already");
    if (end_of(left) == start.value()) {
      erase(left);
      start = AgBlock(left.startblock);
      length += left.blockcount;
    }
  }
  if (by_block.find_at_least(record_of(extent.start, 0))) {
    const FreeRecord right = by_block.record();
    if (right.startblock < extent_end.value()) corrupt(extent, "are free already");
    if (right.startblock == extent_end.value()) {
      erase(right);
      length += right.blockcount;
    }
  }
  insert(start, length);
  group_.change_agf().freeblks += extent.length_blocks;
  note_longest();
}

// The part of a free extent that serves: aligned, not busy, near; at most what is wanted.
std::optional<GroupExtent> FreeSpace::fit(const FreeRecord& record, const GroupRequest& request) const {
  const Geometry& geometry = group_.geometry();
  std::optional<GroupExtent> best;
  for (const auto& [start, part_length] :
       group_.transaction().available(geometry.fs_block(group_.ag(), AgBlock(record.startblock)), record.blockcount)) {
    const AgBlock part = geometry.ag_block_of(start);
    const AgBlock part_end = part + part_length;
    AgBlock at = part;
    if (request.near && *request.near > part && *request.near < part_end) {
      // Where it is wanted, as long as enough is left behind.
      at = *request.near;
      if (!request.exact && part_end - at < request.most) {
        at = part_length > request.most ? part_end - request.most : part;
      }
    }
    at = AgBlock(round_up(at.value(), request.alignment));
    if (at >= part_end || part_end - at < request.least) at = AgBlock(round_up(part.value(), request.alignment));
    if (request.exact && at != *request.near) continue;
    if (at >= part_end) continue;
    const std::uint32_t length = std::min(part_end - at, request.most);
    if (length < request.least) continue;
    const GroupExtent extent{.start = at, .length_blocks = length};
    const bool better = !best || extent.length_blocks > best->length_blocks ||
                        (extent.length_blocks == best->length_blocks && request.near &&
                         distance(extent.start, *request.near) < distance(best->start, *request.near));
    if (better) best = extent;
  }
  return best;
}

std::optional<GroupExtent> FreeSpace::choose(const GroupRequest& request) {
  FreeTree by_block(group_, BtreeKind::kBno);
  if (request.near) {
    // The extent around the place, and the one behind it.
    if (by_block.find_at_most(record_of(*request.near, 0))) {
      const FreeRecord record = by_block.record();
      if (end_of(record) > request.near->value()) {
        const auto extent = fit(record, request);
        if (extent && (request.exact || extent->length_blocks == request.most)) return extent;
      }
    }
    if (request.exact) return std::nullopt;
    if (by_block.find_at_least(record_of(*request.near, 0))) {
      const auto extent = fit(by_block.record(), request);
      if (extent && extent->length_blocks == request.most) return extent;
    }
  }
  // Of those that are large enough the nearest, then the largest there are.
  FreeTree by_size(group_, BtreeKind::kCnt);
  std::optional<GroupExtent> best;
  bool more = by_size.find_at_least(record_of(AgBlock(0), request.most));
  for (unsigned i = 0; more && i < kCandidates; ++i, more = by_size.next()) {
    const auto extent = fit(by_size.record(), request);
    if (!extent) continue;
    if (!request.near && extent->length_blocks == request.most) return extent;
    const bool better = !best || extent->length_blocks > best->length_blocks ||
                        (request.near && extent->length_blocks == best->length_blocks &&
                         distance(extent->start, *request.near) < distance(best->start, *request.near));
    if (better) best = extent;
  }
  if (best && best->length_blocks == request.most) return best;
  more = by_size.find_last();
  for (unsigned i = 0; more && i < kCandidates; ++i, more = by_size.previous()) {
    if (by_size.record().blockcount < request.least) break;
    const auto extent = fit(by_size.record(), request);
    if (extent && (!best || extent->length_blocks > best->length_blocks)) best = extent;
    if (best && by_size.record().blockcount <= best->length_blocks) break;
  }
  return best;
}

void FreeSpace::fill_list() {
  // Each turn may make a tree a level higher, which needs more again; heights are bounded.
  for (unsigned turns = 0; turns < 64; ++turns) {
    const std::uint32_t wanted = group_.list_wanted();
    const std::uint32_t have = group_.agf().flcount;
    if (have == wanted) return;
    const ExtentOwner owner{.owner = rmap::kOwnerAg, .offset = 0};
    if (have > wanted) {
      const AgBlock block = group_.take_from_list();
      ReverseMap(group_).remove({.start = block, .length_blocks = 1}, owner);
      give({.start = block, .length_blocks = 1});
      group_.transaction().freed(group_.geometry().fs_block(group_.ag(), block), 1);
      continue;
    }
    const auto extent = choose({.least = 1, .most = 1});
    if (!extent) return;
    take(*extent);
    ReverseMap(group_).add(*extent, owner);
    group_.put_on_list(extent->start);
  }
}

std::optional<GroupExtent> FreeSpace::allocate(const GroupRequest& request) {
  XDAX_ASSERT(request.least > 0 && request.least <= request.most && request.alignment > 0);
  if (group_.agf().longest < request.least && group_.agf().freeblks < request.least) return std::nullopt;
  fill_list();
  GroupRequest limited = request;
  if (!request.reserved) {
    const std::uint32_t usable = usable_blocks();
    if (usable < request.least) return std::nullopt;
    limited.most = std::min(request.most, usable);
  }
  const auto extent = choose(limited);
  if (!extent) return std::nullopt;
  take(*extent);
  ReverseMap(group_).add(*extent, request.owner);
  group_.transaction().counter_change().free_blocks -= extent->length_blocks;
  return extent;
}

void FreeSpace::free(const GroupExtent& extent, const ExtentOwner& owner) {
  const Geometry& geometry = group_.geometry();
  if (!geometry.valid_ag_block(group_.ag(), extent.start) ||
      !range_fits(extent.start.value(), extent.length_blocks, group_.length_blocks()) || extent.length_blocks == 0) {
    corrupt(extent, "do not lie inside the group");
  }
  fill_list();
  if (owner.owner == rmap::kOwnerUnknown) {
    ReverseMap(group_).remove_any(extent);
  } else if (owner.owner != rmap::kOwnerNull) {
    ReverseMap(group_).remove(extent, owner);
  }
  give(extent);
  group_.transaction().counter_change().free_blocks += extent.length_blocks;
  group_.transaction().freed(geometry.fs_block(group_.ag(), extent.start), extent.length_blocks);
}

std::uint32_t held_back_blocks(Group& group) {
  const Geometry& geometry = group.geometry();
  const Agf& agf = group.agf();
  std::uint64_t blocks = group.length_blocks();
  // The log never needs a record.
  if (geometry.log_start.value() != 0 && geometry.ag_of(geometry.log_start) == group.ag())
    blocks -= geometry.log_blocks;
  const auto unused = [](std::uint64_t most, std::uint64_t used) { return most > used ? most - used : 0; };
  std::uint64_t held = 0;
  if (geometry.features.reflink()) {
    held +=
        unused(worst_case_blocks(BtreeLayout(BtreeKind::kRefcount, geometry.block_bytes), blocks), agf.refcount_blocks);
  }
  if (geometry.features.finobt()) {
    const std::uint64_t chunks = blocks * geometry.inodes_per_block / limits::kInodesPerChunk;
    // Without the count those in use are held back twice.
    const std::uint32_t used = geometry.features.inobtcount() ? group.agi().fblocks.get() : 0;
    held += unused(worst_case_blocks(BtreeLayout(BtreeKind::kFinobt, geometry.block_bytes), chunks), used);
  }
  if (geometry.features.rmapbt()) {
    const std::uint64_t most =
        std::max(blocks / 100, worst_case_blocks(BtreeLayout(BtreeKind::kRmap, geometry.block_bytes), blocks));
    held += unused(most, agf.rmap_blocks);
  }
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(held, blocks));
}

}  // namespace xdax
