#include "libfs/space/reverse_map.h"

#include <fmt/format.h>

#include "libfs/base/error.h"

namespace xdax {
namespace {

RmapKey key_of(AgBlock block, std::uint64_t owner, std::uint64_t offset) {
  RmapKey key;
  key.startblock = block.value();
  key.owner = owner;
  key.offset = offset;
  return key;
}

ExtentOwner owner_of(const RmapRecord& record) { return {.owner = record.owner, .offset = record.offset}; }

RmapRecord record_of(AgBlock start, std::uint32_t length, const ExtentOwner& owner) {
  RmapRecord record;
  record.startblock = start.value();
  record.blockcount = length;
  record.owner = owner.owner;
  record.offset = owner.offset;
  return record;
}

std::uint32_t end_of(const RmapRecord& record) { return record.startblock + record.blockcount; }

}  // namespace

void ReverseMap::corrupt(const GroupExtent& extent) const {
  throw CorruptionError(Errc::kBadStructure,
                        fmt::format("{}: group {}: the reverse map does not know blocks {}+{} as they are used",
                                    group_.transaction().journal().device().name(), group_.ag().value(),
                                    extent.start.value(), extent.length_blocks));
}

// The record that holds `block` for `owner`, whose offset is the one of that block.
std::optional<RmapRecord> ReverseMap::find(AgBlock block, const ExtentOwner& owner) {
  const RmapKey key = key_of(block, owner.owner, owner.offset);
  const auto matches = [&](const RmapRecord& record) {
    if (record.owner != owner.owner || record.startblock > block.value() || block.value() >= end_of(record))
      return false;
    return owner_of(record).further(block.value() - record.startblock).offset == owner.offset;
  };
  // Extents of several owners overlap only where blocks are shared: mostly the record before is the one.
  if (tree_.find_at_most(key) && matches(tree_.record())) return tree_.record();
  if (!group_.geometry().features.reflink()) return std::nullopt;
  std::optional<RmapRecord> found;
  const RmapKey low = key_of(block, 0, 0);
  const RmapKey high = key_of(block, ~0ull, ~0ull);
  tree_.bytes().overlapping(std::as_bytes(std::span(&low, 1)), std::as_bytes(std::span(&high, 1)),
                            [&](ByteSpan record) {
                              if (matches(view<RmapRecord>(record))) found = view<RmapRecord>(record);
                              return !found;
                            });
  return found;
}

void ReverseMap::erase(const RmapRecord& record) {
  if (!tree_.find_at_most(key_of(AgBlock(record.startblock), record.owner, record.offset))) {
    corrupt({.start = AgBlock(record.startblock), .length_blocks = record.blockcount});
  }
  tree_.erase();
}

void ReverseMap::add(const GroupExtent& extent, const ExtentOwner& owner) {
  if (!enabled()) return;
  AgBlock start = extent.start;
  std::uint32_t length = extent.length_blocks;
  ExtentOwner whole = owner;
  if (start.value() > 0) {
    const ExtentOwner before{.owner = owner.owner, .offset = owner.moves() ? owner.offset - 1 : owner.offset};
    const bool possible = !owner.moves() || (owner.offset & rmap::kOffsetMask) != 0;
    const auto left = possible ? find(start - 1, before) : std::nullopt;
    if (left && end_of(*left) == start.value()) {
      erase(*left);
      start = AgBlock(left->startblock);
      length += left->blockcount;
      whole = owner_of(*left);
    }
  }
  const AgBlock end = extent.start + extent.length_blocks;
  const auto right = find(end, owner.further(extent.length_blocks));
  if (right && right->startblock == end.value()) {
    erase(*right);
    length += right->blockcount;
  }
  tree_.insert(record_of(start, length, whole));
}

// Takes `extent`, which lies inside `record`, out of it.
void ReverseMap::cut(const RmapRecord& record, const GroupExtent& extent) {
  const std::uint32_t before = extent.start.value() - record.startblock;
  const std::uint32_t extent_end = extent.start.value() + extent.length_blocks;
  const std::uint32_t after = end_of(record) - extent_end;
  erase(record);
  if (before != 0) tree_.insert(record_of(AgBlock(record.startblock), before, owner_of(record)));
  if (after != 0) {
    tree_.insert(record_of(AgBlock(extent_end), after, owner_of(record).further(before + extent.length_blocks)));
  }
}

void ReverseMap::remove(const GroupExtent& extent, const ExtentOwner& owner) {
  if (!enabled()) return;
  const auto record = find(extent.start, owner);
  if (!record || end_of(*record) < extent.start.value() + extent.length_blocks) corrupt(extent);
  cut(*record, extent);
}

void ReverseMap::remove_any(const GroupExtent& extent) {
  if (!enabled()) return;
  std::optional<RmapRecord> found;
  bool ambiguous = false;
  const std::uint32_t last = extent.start.value() + extent.length_blocks - 1;
  const RmapKey low = key_of(extent.start, 0, 0);
  const RmapKey high = key_of(AgBlock(last), ~0ull, ~0ull);
  tree_.bytes().overlapping(std::as_bytes(std::span(&low, 1)), std::as_bytes(std::span(&high, 1)), [&](ByteSpan bytes) {
    ambiguous = found.has_value();
    found = view<RmapRecord>(bytes);
    return !ambiguous;
  });
  if (!found) return;
  if (ambiguous || found->startblock > extent.start.value() || end_of(*found) <= last) corrupt(extent);
  cut(*found, extent);
}

}  // namespace xdax
