// What the fuzz targets share: filesystems for hostile blocks to lie in.
//
// The first byte of an input chooses the geometry and the kind of structure; the rest is the structure, cut or filled
// with zeros to its size. What is expected of a block (its uuid, owner and address) is taken from the block itself
// where that is legal, so that the fuzzer gets past the identity to the content.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <vector>

#include "libfs/base/bytes.h"
#include "libfs/format/geometry.h"
#include "libfs/format/superblock.h"

namespace xdax::fuzz {

using Bytes = std::vector<std::byte>;

/// 512 MiB in 4 groups, as mkfs.xfs divides them; blocks of 1 KiB, 4 KiB, 16 KiB or 64 KiB by the low bits of `choice`.
inline Geometry geometry_of(std::uint8_t choice) {
  constexpr std::uint8_t kBlockLogs[] = {10, 12, 14, 16};
  const std::uint8_t block_log = kBlockLogs[choice & 3];
  Superblock sb{};
  sb.blocksize = 1u << block_log;
  sb.blocklog = block_log;
  sb.agcount = 4u;
  sb.agblocks = (128u << 20) >> block_log;
  sb.agblklog = static_cast<std::uint8_t>(27 - block_log);
  sb.dblocks = (512ull << 20) >> block_log;
  sb.sectsize = 512;
  sb.sectlog = 9;
  sb.inodesize = 512;
  sb.inodelog = 9;
  sb.inopblock = static_cast<std::uint16_t>(1u << (block_log - 9));
  sb.inopblog = static_cast<std::uint8_t>(block_log - 9);
  sb.dirblklog = block_log == 10 ? 2 : 0;
  sb.inoalignmt = std::max(64u >> (block_log - 9), 1u);
  sb.spino_align = 1u;
  sb.versionnum = 5 | version_bits::kAlign;
  sb.features_ro_compat = ro_compat_bits::kKnown;
  sb.features_incompat = incompat_bits::kKnown & ~incompat_bits::kMetaUuid;
  return Geometry(sb);
}

/// The structure behind the first byte, `bytes` long.
inline Bytes block_of(const std::uint8_t* data, std::size_t size, std::size_t bytes) {
  Bytes block(bytes);
  if (size > 1) std::memcpy(block.data(), data + 1, std::min(size - 1, bytes));
  return block;
}

/// What a target requires of the code under test.
inline void require(bool holds) {
  if (!holds) std::abort();
}

/// The filesystem block at a disk address, or one that exists.
inline FsBlock block_at(const Geometry& geometry, std::uint64_t address) {
  const std::uint64_t linear = (address << kBasicBlockLog) >> geometry.block_log;
  const FsBlock block = geometry.fs_block(AgNumber(static_cast<std::uint32_t>(linear / geometry.ag_blocks)),
                                          AgBlock(static_cast<std::uint32_t>(linear % geometry.ag_blocks)));
  return geometry.valid_fs_block(block) ? block : geometry.fs_block(AgNumber(1), AgBlock(100));
}

}  // namespace xdax::fuzz
