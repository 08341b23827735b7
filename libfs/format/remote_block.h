// Blocks of a value that does not fit beside its name or inside its inode: of an attribute, and of a symbolic link.
//
//   0 magic  4 offset  8 bytes  12 crc  16 uuid  32 owner  40 blkno  48 lsn  56 the bytes
//
// `offset` is where in the value the bytes belong. An attribute's value has a header in every filesystem block; a
// symbolic link has one in every extent, however many blocks that is. Source: XFS Algorithms & Data Structures, "Remote
// Attribute Values", "Symbolic Links".
#pragma once

#include <cstddef>
#include <cstdint>

#include "libfs/base/bytes.h"
#include "libfs/base/endian.h"
#include "libfs/base/units.h"
#include "libfs/base/uuid.h"
#include "libfs/format/flaw.h"
#include "libfs/format/geometry.h"

namespace xdax {

struct RemoteHeader {
  static constexpr std::uint32_t kAttrMagic = 0x5841524d;     // "XARM"
  static constexpr std::uint32_t kSymlinkMagic = 0x58534c4d;  // "XSLM"

  be32 magic;
  be32 offset;
  be32 bytes;
  le32 crc;
  Uuid uuid;
  be64 owner;
  be64 blkno;
  be64 lsn;
};
static_assert(sizeof(RemoteHeader) == 56);
static_assert(offsetof(RemoteHeader, crc) == 12);
static_assert(offsetof(RemoteHeader, uuid) == 16);
static_assert(offsetof(RemoteHeader, owner) == 32);
static_assert(offsetof(RemoteHeader, blkno) == 40);

/// What a block of a remote value is expected to be.
struct RemoteExpectation {
  InodeNumber owner;
  FsBlock block;                   ///< its own address
  std::uint32_t offset_bytes = 0;  ///< of the value, before this block
  std::uint32_t value_bytes = 0;   ///< of the whole value
};

/// Bytes of a value that one block (or extent) of `bytes` holds.
[[nodiscard]] constexpr std::uint32_t remote_capacity_bytes(std::uint32_t bytes) {
  return bytes - static_cast<std::uint32_t>(sizeof(RemoteHeader));
}
/// Filesystem blocks of an attribute value.
[[nodiscard]] constexpr std::uint32_t attr_remote_blocks(std::uint32_t value_bytes, std::uint32_t block_bytes) {
  const std::uint32_t capacity = remote_capacity_bytes(block_bytes);
  return (value_bytes + capacity - 1) / capacity;
}
/// The part of the value that a verified block holds.
[[nodiscard]] ByteSpan remote_content(ByteSpan block);

/// Checks one filesystem block of an attribute's value: identity, and that it holds just the part expected.
[[nodiscard]] Flaws verify_attr_remote(ByteSpan block, const Geometry& geometry, const RemoteExpectation& expected);

/// Checks one extent of a symbolic link's target, whole blocks: the same, and that the target has no zero byte.
[[nodiscard]] Flaws verify_symlink_remote(ByteSpan extent, const Geometry& geometry, const RemoteExpectation& expected);

}  // namespace xdax
