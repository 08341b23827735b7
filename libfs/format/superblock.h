// The superblock: sector 0 of every allocation group; the one of group 0 is primary.
//
//   0 magicnum "XFSB"   4 blocksize      8 dblocks       16 rblocks      24 rextents     32 uuid
//  48 logstart         56 rootino       64 rbmino        72 rsumino      80 rextsize     84 agblocks
//  88 agcount          92 rbmblocks     96 logblocks    100 versionnum  102 sectsize    104 inodesize
// 106 inopblock       108 fname[12]    120 blocklog .. 127 imax_pct     128 icount      136 ifree
// 144 fdblocks        152 frextents    160 uquotino     168 gquotino    176 qflags      178 flags
// 180 inoalignmt      184 unit         188 width        192 dirblklog   193 logsectlog  194 logsectsize
// 196 logsunit        200 features2    204 bad_features2 208 features_* 224 crc         228 spino_align
// 232 pquotino        240 lsn          248 meta_uuid    264 end (metadir filesystems go on to 304)
//
// Source: XFS Algorithms & Data Structures, "Superblocks". The checksum covers the whole sector.
#pragma once

#include <cstddef>
#include <cstdint>

#include "libfs/base/bytes.h"
#include "libfs/base/endian.h"
#include "libfs/base/units.h"
#include "libfs/base/uuid.h"
#include "libfs/format/features.h"
#include "libfs/format/flaw.h"

namespace xdax {

struct Superblock {
  static constexpr std::uint32_t kMagic = 0x58465342;  // "XFSB"

  be32 magicnum;
  be32 blocksize;
  be64 dblocks;
  be64 rblocks;
  be64 rextents;
  Uuid uuid;
  be64 logstart;
  be64 rootino;
  be64 rbmino;
  be64 rsumino;
  be32 rextsize;
  be32 agblocks;
  be32 agcount;
  be32 rbmblocks;
  be32 logblocks;
  be16 versionnum;
  be16 sectsize;
  be16 inodesize;
  be16 inopblock;
  char fname[12];
  std::uint8_t blocklog;
  std::uint8_t sectlog;
  std::uint8_t inodelog;
  std::uint8_t inopblog;
  std::uint8_t agblklog;
  std::uint8_t rextslog;
  std::uint8_t inprogress;
  std::uint8_t imax_pct;
  be64 icount;
  be64 ifree;
  be64 fdblocks;
  be64 frextents;
  be64 uquotino;
  be64 gquotino;
  be16 qflags;
  std::uint8_t flags;
  std::uint8_t shared_vn;
  be32 inoalignmt;
  be32 unit;
  be32 width;
  std::uint8_t dirblklog;
  std::uint8_t logsectlog;
  be16 logsectsize;
  be32 logsunit;
  be32 features2;
  be32 bad_features2;
  be32 features_compat;
  be32 features_ro_compat;
  be32 features_incompat;
  be32 features_log_incompat;
  le32 crc;
  be32 spino_align;
  be64 pquotino;
  be64 lsn;
  Uuid meta_uuid;

  [[nodiscard]] Features features() const;
};

namespace quota_flags {
/// The counts of users, groups and projects are right; a mount counts anew what is not.
inline constexpr std::uint16_t kCounted = 0x004 | 0x100 | 0x400;
}  // namespace quota_flags

static_assert(sizeof(Superblock) == 264);
static_assert(offsetof(Superblock, uuid) == 32);
static_assert(offsetof(Superblock, logstart) == 48);
static_assert(offsetof(Superblock, rextsize) == 80);
static_assert(offsetof(Superblock, agblocks) == 84);
static_assert(offsetof(Superblock, versionnum) == 100);
static_assert(offsetof(Superblock, fname) == 108);
static_assert(offsetof(Superblock, blocklog) == 120);
static_assert(offsetof(Superblock, imax_pct) == 127);
static_assert(offsetof(Superblock, icount) == 128);
static_assert(offsetof(Superblock, fdblocks) == 144);
static_assert(offsetof(Superblock, qflags) == 176);
static_assert(offsetof(Superblock, inoalignmt) == 180);
static_assert(offsetof(Superblock, dirblklog) == 192);
static_assert(offsetof(Superblock, features2) == 200);
static_assert(offsetof(Superblock, crc) == 224);
static_assert(offsetof(Superblock, lsn) == 240);
static_assert(offsetof(Superblock, meta_uuid) == 248);

struct SuperblockExpectation {
  AgNumber ag;
  /// Bytes the device holds; 0 when unknown. A filesystem larger than this is a flaw.
  std::uint64_t device_bytes = 0;
  /// A nonzero inprogress is a flaw in the primary only: secondary copies keep what mkfs left there.
  bool primary = true;
};

/// Checks `sector` (at least 512 bytes; whole, as the superblock's own sectsize says, or the checksum is reported)
/// against every rule that needs no other structure. Without kMagic, kRange and kConsistency flaws a Geometry may be
/// made.
[[nodiscard]] Flaws verify_superblock(ByteSpan sector, const SuperblockExpectation& expected);

/// Whether the fields a Geometry is made of hold together, whatever the checksum says.
[[nodiscard]] bool usable_for_geometry(const Flaws& flaws);

/// The sector size a superblock claims, when it is a legal one; 0 otherwise. For reading the whole sector.
[[nodiscard]] std::uint32_t claimed_sector_bytes(ByteSpan first_512_bytes);

}  // namespace xdax
