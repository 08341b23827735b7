#include "libfs/format/remote_block.h"

#include <algorithm>

#include "libfs/base/crc32c.h"

namespace xdax {
namespace {

// False when the content must not be looked at.
bool check(Flaws& flaws, ByteSpan block, const Geometry& geometry, const RemoteExpectation& expected,
           std::uint32_t magic) {
  XDAX_ASSERT(block.size() >= geometry.block_bytes && block.size() % geometry.block_bytes == 0);
  const auto& header = view<RemoteHeader>(block);
  if (header.magic != magic) {
    flaws.add({FlawKind::kMagic, "remote.magic", 0, header.magic, magic, "the magic of its kind"});
    return false;
  }
  if (const std::uint32_t computed = structure_checksum(block, offsetof(RemoteHeader, crc)); computed != header.crc) {
    flaws.add({FlawKind::kChecksum, "remote.crc", offsetof(RemoteHeader, crc), header.crc, computed,
               "the checksum of the block"});
  }
  if (header.uuid != geometry.uuid) {
    flaws.add({FlawKind::kUuid, "remote.uuid", offsetof(RemoteHeader, uuid), 0, 0, "the uuid of this filesystem"});
  }
  if (const DiskAddress address = geometry.disk_address(expected.block); header.blkno != address.value()) {
    flaws.add({FlawKind::kSelfAddress, "remote.blkno", offsetof(RemoteHeader, blkno), header.blkno, address.value(),
               "its own disk address"});
  }
  if (header.owner != expected.owner.value()) {
    flaws.add({FlawKind::kOwner, "remote.owner", offsetof(RemoteHeader, owner), header.owner, expected.owner.value(),
               "its inode"});
  }
  if (header.offset != expected.offset_bytes) {
    flaws.add({FlawKind::kConsistency, "remote.offset", offsetof(RemoteHeader, offset), header.offset,
               expected.offset_bytes, "where the value stood before this block"});
  }
  const std::uint32_t left =
      expected.value_bytes > expected.offset_bytes ? expected.value_bytes - expected.offset_bytes : 0;
  const std::uint32_t here = std::min(left, remote_capacity_bytes(static_cast<std::uint32_t>(block.size())));
  if (header.bytes == 0 || header.bytes != here) {
    flaws.add({FlawKind::kCount, "remote.bytes", offsetof(RemoteHeader, bytes), header.bytes, here,
               "what is left of the value, as far as it fits"});
    return false;
  }
  return true;
}

}  // namespace

ByteSpan remote_content(ByteSpan block) {
  const std::uint32_t capacity = remote_capacity_bytes(static_cast<std::uint32_t>(block.size()));
  return block.subspan(sizeof(RemoteHeader), std::min<std::uint32_t>(view<RemoteHeader>(block).bytes, capacity));
}

Flaws verify_attr_remote(ByteSpan block, const Geometry& geometry, const RemoteExpectation& expected) {
  XDAX_ASSERT(block.size() == geometry.block_bytes);
  Flaws flaws;
  check(flaws, block, geometry, expected, RemoteHeader::kAttrMagic);
  return flaws;
}

Flaws verify_symlink_remote(ByteSpan extent, const Geometry& geometry, const RemoteExpectation& expected) {
  Flaws flaws;
  if (!check(flaws, extent, geometry, expected, RemoteHeader::kSymlinkMagic)) return flaws;
  const ByteSpan target = remote_content(extent);
  if (const auto nul = std::find(target.begin(), target.end(), std::byte{0}); nul != target.end()) {
    flaws.add({FlawKind::kRange, "symlink.target",
               static_cast<std::uint32_t>(sizeof(RemoteHeader)) + static_cast<std::uint32_t>(nul - target.begin()), 0,
               1, "no zero byte in the target"});
  }
  return flaws;
}

}  // namespace xdax
