#include "libfs/format/dir_leaf.h"

#include <algorithm>

namespace xdax {
namespace {

constexpr std::size_t kHeaderBytes = sizeof(DirLeafHeader);

std::uint32_t most_entries(std::size_t block_bytes, DirLeafForm form) {
  const std::size_t tail = form == DirLeafForm::kLeaf1 ? sizeof(DirLeafTail) : 0;
  return static_cast<std::uint32_t>((block_bytes - kHeaderBytes - tail) / sizeof(DirLeafEntry));
}

std::size_t tail_offset(ByteSpan block) { return block.size() - sizeof(DirLeafTail); }

void check_entries(Flaws& flaws, ByteSpan block, const Geometry& geometry) {
  const auto& header = view<DirLeafHeader>(block);
  std::uint32_t stale = 0;
  std::uint32_t previous_hash = 0;
  const auto entries = dir_leaf_entries(block);
  const std::uint64_t block_mask = geometry.dir_block_bytes() - 1;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const auto at = static_cast<std::uint32_t>(kHeaderBytes + i * sizeof(DirLeafEntry));
    if (entries[i].hashval < previous_hash) {
      flaws.add({FlawKind::kOrder, "dir_leaf.hashval", at, entries[i].hashval, previous_hash,
                 "not below the hash before it"});
    }
    previous_hash = entries[i].hashval;
    if (entries[i].stale()) {
      ++stale;
      continue;
    }
    // Any 32-bit address lies in the 32 GiB of entries, but no entry lies in the header of a block.
    const std::uint64_t in_block = std::uint64_t{entries[i].address} * kDirAlignBytes & block_mask;
    if (in_block < sizeof(DirDataHeader)) {
      flaws.add({FlawKind::kPointer, "dir_leaf.address", at + static_cast<std::uint32_t>(sizeof(be32)),
                 entries[i].address, sizeof(DirDataHeader), "behind the header of a block of entries"});
    }
  }
  if (header.stale != stale) {
    flaws.add(
        {FlawKind::kCount, "dir_leaf.stale", offsetof(DirLeafHeader, stale), header.stale, stale, "the stale entries"});
  }
}

void check_bests(Flaws& flaws, ByteSpan block, const Geometry& geometry) {
  const auto at = static_cast<std::uint32_t>(tail_offset(block));
  const std::uint32_t count = view<DirLeafTail>(block, at).bestcount;
  const auto bests = dir_leaf_bests(block);
  if (count != bests.size()) {
    flaws.add(
        {FlawKind::kCount, "dir_leaf.bestcount", at, count, bests.size(), "at most what fits behind the entries"});
    return;
  }
  const std::uint32_t base = at - static_cast<std::uint32_t>(bests.size_bytes());
  for (std::size_t i = 0; i < bests.size(); ++i) {
    const bool legal = bests[i] == kNoDataBlock || (bests[i] <= geometry.dir_block_bytes() - sizeof(DirDataHeader) &&
                                                    bests[i] % kDirAlignBytes == 0);
    if (!legal) {
      flaws.add({FlawKind::kRange, "dir_leaf.bests", base + static_cast<std::uint32_t>(i * sizeof(be16)), bests[i],
                 geometry.dir_block_bytes(), "whole units inside a block, or none"});
    }
  }
  const auto& info = view<DaBlockInfo>(block);
  if (info.forw != 0 || info.back != 0) {
    flaws.add({FlawKind::kPointer, "da.forw", 0, info.forw, 0, "no siblings of a single leaf"});
  }
}

}  // namespace

std::span<const DirLeafEntry> dir_leaf_entries(ByteSpan block) {
  const std::uint32_t count = view<DirLeafHeader>(block).count;
  return view_array<DirLeafEntry>(block, kHeaderBytes,
                                  std::min(count, most_entries(block.size(), DirLeafForm::kLeafN)));
}

std::span<const be16> dir_leaf_bests(ByteSpan block) {
  const std::size_t tail = tail_offset(block);
  const std::size_t entries_end = kHeaderBytes + dir_leaf_entries(block).size_bytes();
  const std::size_t room = entries_end < tail ? (tail - entries_end) / sizeof(be16) : 0;
  const std::size_t count = std::min<std::size_t>(view<DirLeafTail>(block, tail).bestcount, room);
  return view_array<be16>(block, tail - count * sizeof(be16), count);
}

Flaws verify_dir_leaf(ByteSpan block, const Geometry& geometry, DirLeafForm form, const DaExpectation& expected) {
  Flaws flaws;
  const bool single = form == DirLeafForm::kLeaf1;
  const std::uint16_t magic = single ? DirLeafHeader::kLeaf1Magic : DirLeafHeader::kLeafNMagic;
  if (!check_da_info(flaws, block, geometry, Fork::kData, expected, magic)) return flaws;
  const auto& header = view<DirLeafHeader>(block);
  const std::uint32_t most = most_entries(block.size(), form);
  if (header.count > most) {
    flaws.add({FlawKind::kCount, "dir_leaf.count", offsetof(DirLeafHeader, count), header.count, most,
               "at most what fits the block"});
    return flaws;
  }
  check_entries(flaws, block, geometry);
  if (single) check_bests(flaws, block, geometry);
  return flaws;
}

}  // namespace xdax
