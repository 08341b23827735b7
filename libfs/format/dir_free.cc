#include "libfs/format/dir_free.h"

#include <algorithm>

namespace xdax {

std::span<const be16> dir_free_bests(ByteSpan block) {
  const std::uint32_t count = view<DirFreeHeader>(block).nvalid;
  return view_array<be16>(block, sizeof(DirFreeHeader),
                          std::min(count, dir_free_capacity(static_cast<std::uint32_t>(block.size()))));
}

Flaws verify_dir_free(ByteSpan block, const Geometry& geometry, const DaExpectation& expected) {
  Flaws flaws;
  if (!check_dir_info(flaws, block, geometry, expected, DirFreeHeader::kMagic)) return flaws;
  const auto& header = view<DirFreeHeader>(block);
  const std::uint32_t capacity = dir_free_capacity(geometry.dir_block_bytes());
  // The caller found it in the index's part of the file; what is not there has no right firstdb.
  const std::uint64_t first = DirRegions::of(geometry).free.value();
  const std::uint64_t index = (expected.file_block.value() - first) >> geometry.dir_block_log;
  if (expected.file_block.value() < first || header.firstdb != index * capacity) {
    flaws.add({FlawKind::kSelfAddress, "dir_free.firstdb", offsetof(DirFreeHeader, firstdb), header.firstdb,
               index * capacity, "the first block that its place in the file speaks for"});
  }
  if (header.nvalid > capacity) {
    flaws.add({FlawKind::kCount, "dir_free.nvalid", offsetof(DirFreeHeader, nvalid), header.nvalid, capacity,
               "at most what fits the block"});
    return flaws;
  }
  std::uint32_t used = 0;
  const auto bests = dir_free_bests(block);
  for (std::size_t i = 0; i < bests.size(); ++i) {
    if (bests[i] == kNoDataBlock) continue;
    ++used;
    if (bests[i] > geometry.dir_block_bytes() - sizeof(DirDataHeader) || bests[i] % kDirAlignBytes != 0) {
      flaws.add({FlawKind::kRange, "dir_free.bests",
                 static_cast<std::uint32_t>(sizeof(DirFreeHeader) + i * sizeof(be16)), bests[i],
                 geometry.dir_block_bytes(), "whole units inside a block, or none"});
    }
  }
  if (header.nused != used) {
    flaws.add({FlawKind::kCount, "dir_free.nused", offsetof(DirFreeHeader, nused), header.nused, used,
               "the blocks that exist"});
  }
  return flaws;
}

}  // namespace xdax
