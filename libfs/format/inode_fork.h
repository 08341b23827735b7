// The forks of an inode: where they lie, and what they hold.
//
//   core (176)  | data fork                | attribute fork             | end of the inode
//               176                        176 + forkoff * 8
//
// With forkoff 0 there is no attribute fork and the data fork has everything. A fork in btree format starts with the
// root of its extent map: a header of 4 bytes, then room for as many keys as fit, then as many pointers:
//
//   0 level  2 numrecs  4 keys[max] be64  4 + 8 * max  ptrs[max] be64
//
// Source: XFS Algorithms & Data Structures, "Data Fork", "Attribute Fork".
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "libfs/base/bytes.h"
#include "libfs/base/endian.h"
#include "libfs/format/extent.h"
#include "libfs/format/flaw.h"
#include "libfs/format/geometry.h"
#include "libfs/format/inode.h"

namespace xdax {

enum class Fork : std::uint8_t { kData, kAttr };

/// A part of the inode, by bytes from its start.
struct ForkArea {
  std::uint32_t offset_bytes = 0;
  std::uint32_t size_bytes = 0;
};

/// Where a fork lies. Total: whatever forkoff says, the area lies inside the inode; a fork that is not there is empty.
[[nodiscard]] ForkArea fork_area(const InodeCore& core, std::uint32_t inode_bytes, Fork fork);
[[nodiscard]] ByteSpan fork_bytes(ByteSpan inode, Fork fork);

[[nodiscard]] inline ForkFormat fork_format(const InodeCore& core, Fork fork) {
  return static_cast<ForkFormat>(fork == Fork::kData ? core.format : core.aformat);
}
[[nodiscard]] inline std::uint64_t extent_count(const InodeCore& core, Fork fork) {
  return fork == Fork::kData ? data_extent_count(core) : attr_extent_count(core);
}

/// The extent records of a fork in extents format; no more than fit the fork, whatever the core says.
[[nodiscard]] std::span<const ExtentRecord> fork_extents(ByteSpan inode, Fork fork);

/// The header of a tree root in a fork.
struct BmapRootHeader {
  be16 level;
  be16 numrecs;
};
static_assert(sizeof(BmapRootHeader) == 4);

/// How a fork of `fork_bytes` holds a tree root. Offsets count from the start of the fork.
class BmapRootLayout {
 public:
  explicit BmapRootLayout(std::uint32_t fork_bytes) : fork_bytes_(fork_bytes) {}

  /// Entries that fit; the pointers start after room for this many keys.
  [[nodiscard]] std::uint32_t max_entries() const {
    if (fork_bytes_ < sizeof(BmapRootHeader)) return 0;
    return (fork_bytes_ - static_cast<std::uint32_t>(sizeof(BmapRootHeader))) / (kKeyBytes + kPointerBytes);
  }
  [[nodiscard]] std::uint32_t key_offset(std::uint32_t index) const {
    return static_cast<std::uint32_t>(sizeof(BmapRootHeader)) + index * kKeyBytes;
  }
  [[nodiscard]] std::uint32_t pointer_offset(std::uint32_t index) const {
    return key_offset(max_entries()) + index * kPointerBytes;
  }

 private:
  static constexpr std::uint32_t kKeyBytes = 8;
  static constexpr std::uint32_t kPointerBytes = 8;
  std::uint32_t fork_bytes_;
};

/// Checks a tree root: level, entry count, keys in order, pointers inside the filesystem. `base_offset_bytes` is where
/// the fork starts in its inode, for Flaw::offset_bytes.
[[nodiscard]] Flaws verify_bmap_root(ByteSpan fork, const Geometry& geometry, std::uint32_t base_offset_bytes);

/// Checks what one fork holds against the core's format, counts and size. Part of verify_inode().
[[nodiscard]] Flaws verify_fork(ByteSpan inode, const Geometry& geometry, Fork fork);

}  // namespace xdax
