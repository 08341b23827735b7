// Quota records: 136 bytes for each id, packed into filesystem blocks of a quota inode.
//
//   0 magic "DQ"  2 version   3 type         4 id           8 blk_hardlimit  16 blk_softlimit  24 ino_hardlimit
//  32 ino_softlimit          40 bcount      48 icount      56 itimer         60 btimer         64 iwarns  66 bwarns
//  68 pad0       72 rtb_hardlimit           80 rtb_softlimit                 88 rtbcount       96 rtbtimer
// 100 rtbwarns  102 pad     104 fill       108 crc        112 lsn           120 uuid          136 end
//
// The record of id n is number n % per_block of block n / per_block. A log holds the first 104 bytes. Source: XFS
// Algorithms & Data Structures, "Quota Inodes".
#pragma once

#include <cstddef>
#include <cstdint>

#include "libfs/base/bytes.h"
#include "libfs/base/endian.h"
#include "libfs/base/uuid.h"
#include "libfs/format/flaw.h"
#include "libfs/format/geometry.h"

namespace xdax {

/// Which quota a record belongs to.
enum class DquotType : std::uint8_t { kUser = 0x01, kProject = 0x02, kGroup = 0x04 };
/// In the same byte: timers count in units of four seconds from the bigtime epoch.
inline constexpr std::uint8_t kDquotBigtime = 0x80;

struct Dquot {
  static constexpr std::uint16_t kMagic = 0x4451;  // "DQ"
  static constexpr std::uint8_t kVersion = 1;
  static constexpr std::size_t kLoggedBytes = 104;

  be16 magic;
  std::uint8_t version;
  std::uint8_t type;
  be32 id;
  be64 blk_hardlimit;
  be64 blk_softlimit;
  be64 ino_hardlimit;
  be64 ino_softlimit;
  be64 bcount;
  be64 icount;
  be32 itimer;
  be32 btimer;
  be16 iwarns;
  be16 bwarns;
  be32 pad0;
  be64 rtb_hardlimit;
  be64 rtb_softlimit;
  be64 rtbcount;
  be32 rtbtimer;
  be16 rtbwarns;
  be16 pad;
  be32 fill;
  le32 crc;
  be64 lsn;
  Uuid uuid;
};
static_assert(sizeof(Dquot) == 136);
static_assert(offsetof(Dquot, id) == 4);
static_assert(offsetof(Dquot, bcount) == 40);
static_assert(offsetof(Dquot, itimer) == 56);
static_assert(offsetof(Dquot, rtb_hardlimit) == 72);
static_assert(offsetof(Dquot, fill) == Dquot::kLoggedBytes);
static_assert(offsetof(Dquot, crc) == 108);
static_assert(offsetof(Dquot, uuid) == 120);

/// Records in one filesystem block.
[[nodiscard]] constexpr std::uint32_t dquots_per_block(std::uint32_t block_bytes) {
  return block_bytes / static_cast<std::uint32_t>(sizeof(Dquot));
}

struct DquotExpectation {
  DquotType type{};
  std::uint32_t first_id = 0;  ///< of the block's first record
};

/// Checks a whole block of records.
[[nodiscard]] Flaws verify_dquot_block(ByteSpan block, const Geometry& geometry, const DquotExpectation& expected);

/// The first id of a block of a quota file. A block past the last id wraps round, and its records are flawed.
[[nodiscard]] constexpr std::uint32_t first_dquot_id(std::uint64_t file_block, std::uint32_t block_bytes) {
  return static_cast<std::uint32_t>(file_block * dquots_per_block(block_bytes));
}

}  // namespace xdax
