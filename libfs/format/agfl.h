// AGFL: the free list, sector 3 of every allocation group: a ring of blocks kept for the group's own trees.
//
//   0 magicnum "XAFL"  4 seqno  8 uuid  24 lsn  32 crc  36 bno[]  to the end of the sector
//
// The AGF says which entries are in use (flfirst, fllast, flcount). Source: XFS Algorithms & Data Structures,
// "AG Free List".
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "libfs/base/bytes.h"
#include "libfs/base/endian.h"
#include "libfs/base/units.h"
#include "libfs/base/uuid.h"
#include "libfs/format/flaw.h"
#include "libfs/format/geometry.h"

namespace xdax {

struct AgflHeader {
  static constexpr std::uint32_t kMagic = 0x5841464c;  // "XAFL"

  be32 magicnum;
  be32 seqno;
  Uuid uuid;
  be64 lsn;
  le32 crc;
};

static_assert(sizeof(AgflHeader) == 36);
static_assert(offsetof(AgflHeader, uuid) == 8);
static_assert(offsetof(AgflHeader, lsn) == 24);
static_assert(offsetof(AgflHeader, crc) == 32);

/// Entries in an AGFL sector.
[[nodiscard]] constexpr std::uint32_t agfl_capacity(std::uint32_t sector_bytes) {
  return (sector_bytes - static_cast<std::uint32_t>(sizeof(AgflHeader))) / static_cast<std::uint32_t>(sizeof(be32));
}
[[nodiscard]] inline std::span<const be32> agfl_entries(ByteSpan sector) {
  return view_array<be32>(sector, sizeof(AgflHeader), agfl_capacity(static_cast<std::uint32_t>(sector.size())));
}
[[nodiscard]] inline std::span<be32> agfl_entries(MutableByteSpan sector) {
  return mutable_view_array<be32>(sector, sizeof(AgflHeader), agfl_capacity(static_cast<std::uint32_t>(sector.size())));
}

/// The ring the AGF describes: `count` entries from `first` on.
struct AgflRing {
  std::uint32_t first = 0;
  std::uint32_t last = 0;
  std::uint32_t count = 0;
};

/// Checks one whole sector as the AGFL of `ag` (which must be valid), and the entries `ring` names. A ring that
/// does not fit the sector is the AGF's flaw and is not looked at here.
[[nodiscard]] Flaws verify_agfl(ByteSpan sector, const Geometry& geometry, AgNumber ag, const AgflRing& ring);

}  // namespace xdax
