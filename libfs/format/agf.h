// AGF: the free-space header, sector 1 of every allocation group.
//
//   0 magicnum "XAGF"  4 versionnum  8 seqno    12 length       16 roots[3]: bno cnt rmap   28 levels[3]
//  40 flfirst         44 fllast     48 flcount  52 freeblks     56 longest                  60 btreeblks
//  64 uuid            80 rmap_blocks 84 refcount_blocks 88 refcount_root 92 refcount_level  96 spare
// 208 lsn            216 crc       220 spare2  224 end
//
// Source: XFS Algorithms & Data Structures, "AG Free Space Management".
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

struct Agf {
  static constexpr std::uint32_t kMagic = 0x58414746;  // "XAGF"
  static constexpr std::uint32_t kVersion = 1;
  enum Tree : std::uint8_t { kBno = 0, kCnt = 1, kRmap = 2 };

  be32 magicnum;
  be32 versionnum;
  be32 seqno;
  be32 length;
  be32 roots[3];
  be32 levels[3];
  be32 flfirst;
  be32 fllast;
  be32 flcount;
  be32 freeblks;
  be32 longest;
  be32 btreeblks;
  Uuid uuid;
  be32 rmap_blocks;
  be32 refcount_blocks;
  be32 refcount_root;
  be32 refcount_level;
  be64 spare64[14];
  be64 lsn;
  le32 crc;
  be32 spare2;
};

static_assert(sizeof(Agf) == 224);
static_assert(offsetof(Agf, roots) == 16);
static_assert(offsetof(Agf, levels) == 28);
static_assert(offsetof(Agf, flfirst) == 40);
static_assert(offsetof(Agf, freeblks) == 52);
static_assert(offsetof(Agf, uuid) == 64);
static_assert(offsetof(Agf, rmap_blocks) == 80);
static_assert(offsetof(Agf, refcount_level) == 92);
static_assert(offsetof(Agf, lsn) == 208);
static_assert(offsetof(Agf, crc) == 216);

/// Checks one whole sector as the AGF of `ag` (which must be valid). Roots and levels are checked for range only.
[[nodiscard]] Flaws verify_agf(ByteSpan sector, const Geometry& geometry, AgNumber ag);

}  // namespace xdax
