// Extent records: 128 bits that map file blocks to filesystem blocks.
//
//   l0: bit 63 unwritten | 54 bits file block | 9 high bits of the start block
//   l1: 43 low bits of the start block | 21 bits length
//
// Source: XFS Algorithms & Data Structures, "Extent List".
#pragma once

#include <cstdint>
#include <span>

#include "libfs/base/endian.h"
#include "libfs/base/units.h"
#include "libfs/format/flaw.h"
#include "libfs/format/geometry.h"

namespace xdax {

struct ExtentRecord {
  be64 l0;
  be64 l1;
};
static_assert(sizeof(ExtentRecord) == 16);

struct Extent {
  FileBlock file_block;
  FsBlock start;
  std::uint32_t length_blocks = 0;
  bool unwritten = false;

  bool operator==(const Extent&) const = default;
  [[nodiscard]] static Extent decode(const ExtentRecord& record);
  [[nodiscard]] ExtentRecord encode() const;
};

/// Checks records in one list: lengths, addresses, order and overlap in the file. `attribute_fork` forbids unwritten
/// extents.
[[nodiscard]] Flaws verify_extents(std::span<const ExtentRecord> records, const Geometry& geometry, bool attribute_fork,
                                   std::uint32_t base_offset_bytes);

}  // namespace xdax
