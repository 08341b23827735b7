// AGI: the inode header, sector 2 of every allocation group.
//
//   0 magicnum "XAGI"  4 versionnum  8 seqno  12 length  16 count  20 root  24 level  28 freecount
//  32 newino          36 dirino     40 unlinked[64]     296 uuid  312 crc  316 pad   320 lsn
// 328 free_root      332 free_level 336 iblocks 340 fblocks  344 end
//
// Source: XFS Algorithms & Data Structures, "AG Inode Management".
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

struct Agi {
  static constexpr std::uint32_t kMagic = 0x58414749;  // "XAGI"
  static constexpr std::uint32_t kVersion = 1;
  static constexpr std::uint32_t kUnlinkedBuckets = 64;

  be32 magicnum;
  be32 versionnum;
  be32 seqno;
  be32 length;
  be32 count;
  be32 root;
  be32 level;
  be32 freecount;
  be32 newino;
  be32 dirino;
  be32 unlinked[kUnlinkedBuckets];
  Uuid uuid;
  le32 crc;
  be32 pad32;
  be64 lsn;
  be32 free_root;
  be32 free_level;
  be32 iblocks;
  be32 fblocks;
};

static_assert(sizeof(Agi) == 344);
static_assert(offsetof(Agi, count) == 16);
static_assert(offsetof(Agi, newino) == 32);
static_assert(offsetof(Agi, unlinked) == 40);
static_assert(offsetof(Agi, uuid) == 296);
static_assert(offsetof(Agi, crc) == 312);
static_assert(offsetof(Agi, lsn) == 320);
static_assert(offsetof(Agi, free_root) == 328);
static_assert(offsetof(Agi, iblocks) == 336);

/// Checks one whole sector as the AGI of `ag` (which must be valid).
[[nodiscard]] Flaws verify_agi(ByteSpan sector, const Geometry& geometry, AgNumber ag);

}  // namespace xdax
