#include "libfs/format/superblock.h"

#include "libfs/base/crc32c.h"
#include "libfs/base/math.h"
#include "libfs/format/geometry.h"

namespace xdax {
namespace {

constexpr std::uint32_t kCrcOffset = offsetof(Superblock, crc);

// What every v5 filesystem must have in versionnum and features2.
constexpr std::uint16_t kRequiredVersionBits = version_bits::kNlink | version_bits::kLogV2 | version_bits::kExtFlag |
                                               version_bits::kDirV2 | version_bits::kMoreBits;
constexpr std::uint32_t kRequiredFeatures2 =
    features2_bits::kLazyCount | features2_bits::kAttr2 | features2_bits::kProjid32 | features2_bits::kCrc;

class Check {
 public:
  Check(const Superblock& superblock, Flaws& flaws) : sb_(superblock), flaws_(flaws) {}

  void versions() {
    if ((sb_.versionnum & version_bits::kNumberMask) != 5) {
      flaw(FlawKind::kVersion, "sb.versionnum", offsetof(Superblock, versionnum), sb_.versionnum, 5,
           "format version 5");
      return;
    }
    if ((sb_.versionnum & kRequiredVersionBits) != kRequiredVersionBits) {
      flaw(FlawKind::kVersion, "sb.versionnum", offsetof(Superblock, versionnum), sb_.versionnum, kRequiredVersionBits,
           "the bits every version 5 filesystem has");
    }
    if ((sb_.features2 & kRequiredFeatures2) != kRequiredFeatures2) {
      flaw(FlawKind::kVersion, "sb.features2", offsetof(Superblock, features2), sb_.features2, kRequiredFeatures2,
           "the bits every version 5 filesystem has");
    }
    if (sb_.bad_features2 != sb_.features2) {
      flaw(FlawKind::kReserved, "sb.bad_features2", offsetof(Superblock, bad_features2), sb_.bad_features2,
           sb_.features2, "a copy of features2");
    }
  }

  void sizes() {
    power("sb.blocksize", offsetof(Superblock, blocksize), sb_.blocksize, sb_.blocklog,
          {limits::kMinBlockLog, limits::kMaxBlockLog});
    power("sb.sectsize", offsetof(Superblock, sectsize), sb_.sectsize, sb_.sectlog,
          {limits::kMinSectorLog, limits::kMaxSectorLog});
    power("sb.inodesize", offsetof(Superblock, inodesize), sb_.inodesize, sb_.inodelog,
          {limits::kMinInodeLog, limits::kMaxInodeLog});
    const std::uint32_t block_bytes = sb_.blocksize;
    const std::uint32_t inode_bytes = sb_.inodesize;
    if (sb_.sectsize > block_bytes) {
      flaw(FlawKind::kConsistency, "sb.sectsize", offsetof(Superblock, sectsize), sb_.sectsize, block_bytes,
           "at most the block size");
    }
    if (inode_bytes != 0 && (block_bytes / inode_bytes != sb_.inopblock || sb_.inopblock < 2)) {
      flaw(FlawKind::kConsistency, "sb.inopblock", offsetof(Superblock, inopblock), sb_.inopblock,
           block_bytes / inode_bytes, "block size divided by inode size, at least 2");
    }
    if (sb_.blocklog < sb_.inodelog || sb_.blocklog - sb_.inodelog != sb_.inopblog) {
      flaw(FlawKind::kConsistency, "sb.inopblog", offsetof(Superblock, inopblog), sb_.inopblog,
           static_cast<std::uint64_t>(sb_.blocklog) - sb_.inodelog, "blocklog minus inodelog");
    }
    if (sb_.dirblklog > limits::kMaxDirBlockLog ||
        sb_.dirblklog + sb_.blocklog > static_cast<int>(limits::kMaxDirBlockLog)) {
      flaw(FlawKind::kRange, "sb.dirblklog", offsetof(Superblock, dirblklog), sb_.dirblklog, limits::kMaxDirBlockLog,
           "directory blocks of at most 64 KiB");
    }
  }

  void groups(std::uint64_t device_bytes) {
    const std::uint64_t ag_blocks = sb_.agblocks;
    const std::uint64_t ag_count = sb_.agcount;
    const std::uint64_t blocks = sb_.dblocks;
    if (ag_count == 0 || ag_count > limits::kMaxAgCount) {
      flaw(FlawKind::kRange, "sb.agcount", offsetof(Superblock, agcount), ag_count, limits::kMaxAgCount,
           "1 to 2^32-2 groups");
      return;
    }
    if (ag_blocks < limits::kMinAgBlocks ||
        ag_blocks > limits::kMaxAgBytes / (sb_.blocksize != 0 ? std::uint32_t{sb_.blocksize} : 1u)) {
      flaw(FlawKind::kRange, "sb.agblocks", offsetof(Superblock, agblocks), ag_blocks, limits::kMinAgBlocks,
           "at least 64 blocks and at most 1 TiB");
      return;
    }
    if (sb_.agblklog != ag_block_log_for(static_cast<std::uint32_t>(ag_blocks))) {
      flaw(FlawKind::kConsistency, "sb.agblklog", offsetof(Superblock, agblklog), sb_.agblklog,
           ag_block_log_for(static_cast<std::uint32_t>(ag_blocks)), "the exponent of agblocks, rounded up");
    }
    // ag_count < 2^32 and ag_blocks <= 2^30: the products fit.
    const std::uint64_t most = ag_count * ag_blocks;
    const std::uint64_t least = (ag_count - 1) * ag_blocks + limits::kMinAgBlocks;
    if (blocks > most || blocks < least) {
      flaw(FlawKind::kConsistency, "sb.dblocks", offsetof(Superblock, dblocks), blocks, blocks > most ? most : least,
           "between (agcount - 1) and agcount groups of agblocks");
    } else if (device_bytes != 0 && sb_.blocklog <= limits::kMaxBlockLog && blocks > (device_bytes >> sb_.blocklog)) {
      flaw(FlawKind::kRange, "sb.dblocks", offsetof(Superblock, dblocks), blocks, device_bytes >> sb_.blocklog,
           "at most the blocks of the device");
    }
    if (sb_.agblklog + sb_.inopblog > 32 || ag_count > (limits::kMaxInodeNumber >> (sb_.agblklog + sb_.inopblog)) + 1) {
      flaw(FlawKind::kRange, "sb.agcount", offsetof(Superblock, agcount), ag_count, limits::kMaxInodeNumber,
           "inode numbers of at most 56 bits");
    }
  }

  void alignments() {
    if (sb_.inoalignmt > sb_.agblocks) {
      flaw(FlawKind::kRange, "sb.inoalignmt", offsetof(Superblock, inoalignmt), sb_.inoalignmt, sb_.agblocks,
           "blocks inside a group");
    }
    // With large blocks a chunk is smaller than a block, and both alignments are zero.
    const std::uint64_t chunk_blocks = sb_.blocklog <= limits::kMaxBlockLog
                                           ? (std::uint64_t{limits::kInodesPerChunk} * sb_.inodesize) >> sb_.blocklog
                                           : 0;
    if (sb_.features().sparse()) {
      const std::uint32_t part = sb_.spino_align;
      if (sb_.inoalignmt != chunk_blocks || part > sb_.inoalignmt || (part != 0 && sb_.inoalignmt % part != 0)) {
        flaw(FlawKind::kConsistency, "sb.spino_align", offsetof(Superblock, spino_align), part, chunk_blocks,
             "a divisor of inoalignmt, which must be the blocks of an inode chunk");
      }
    }
    const std::uint32_t unit = sb_.unit;
    const std::uint32_t width = sb_.width;
    const bool striped = (sb_.versionnum & version_bits::kDalign) != 0;
    const bool legal = striped ? unit != 0 && width >= unit && width % unit == 0 : unit == 0 && width == 0;
    if (!legal) {
      flaw(FlawKind::kConsistency, "sb.width", offsetof(Superblock, width), width, unit,
           striped ? "a multiple of a nonzero unit" : "zero without the stripe bit");
    }
  }

  void log() {
    const std::uint32_t blocks = sb_.logblocks;
    if (sb_.logstart != 0) {
      if (blocks == 0 || blocks > limits::kMaxLogBlocks ||
          (sb_.blocklog <= limits::kMaxBlockLog && (std::uint64_t{blocks} << sb_.blocklog) > limits::kMaxLogBytes)) {
        flaw(FlawKind::kRange, "sb.logblocks", offsetof(Superblock, logblocks), blocks, limits::kMaxLogBlocks,
             "1 to 2^20 blocks and below 2 GiB");
      } else if (const Geometry geometry(sb_);
                 usable_for_geometry(flaws_) && !geometry.valid_extent(geometry.log_start, blocks)) {
        flaw(FlawKind::kPointer, "sb.logstart", offsetof(Superblock, logstart), sb_.logstart, blocks,
             "an internal log inside one group");
      }
    }
    if (sb_.logsunit > 1 &&
        (sb_.logsunit > limits::kMaxLogStripeBytes || sb_.blocksize == 0 || sb_.logsunit % sb_.blocksize != 0)) {
      flaw(FlawKind::kRange, "sb.logsunit", offsetof(Superblock, logsunit), sb_.logsunit, limits::kMaxLogStripeBytes,
           "0, 1, or a multiple of the block size of at most 256 KiB");
    }
    if ((sb_.versionnum & version_bits::kSector) != 0) {
      power("sb.logsectsize", offsetof(Superblock, logsectsize), sb_.logsectsize, sb_.logsectlog,
            {limits::kMinSectorLog, limits::kMaxSectorLog});
    } else if (sb_.logsectsize != 0 || sb_.logsectlog != 0) {
      flaw(FlawKind::kConsistency, "sb.logsectsize", offsetof(Superblock, logsectsize), sb_.logsectsize, 0,
           "zero without the sector bit");
    }
  }

  void rest(bool primary) {
    const std::uint64_t extent_bytes = std::uint64_t{sb_.rextsize} * sb_.blocksize;
    if (sb_.rextsize == 0 || extent_bytes > (1ull << 30) || (sb_.rblocks != 0 && extent_bytes < 4096)) {
      flaw(FlawKind::kRange, "sb.rextsize", offsetof(Superblock, rextsize), sb_.rextsize, 1ull << 30, "at most 1 GiB");
    }
    if (sb_.imax_pct > 100) {
      flaw(FlawKind::kRange, "sb.imax_pct", offsetof(Superblock, imax_pct), sb_.imax_pct, 100, "a percentage");
    }
    if (primary && sb_.inprogress != 0) {
      flaw(FlawKind::kConsistency, "sb.inprogress", offsetof(Superblock, inprogress), sb_.inprogress, 0,
           "zero once formatting has finished");
    }
    if (sb_.shared_vn != 0) {
      flaw(FlawKind::kReserved, "sb.shared_vn", offsetof(Superblock, shared_vn), sb_.shared_vn, 0, "zero");
    }
    const bool log_size_agrees = sb_.features().metauuid() || sb_.meta_uuid.is_nil();
    if (!log_size_agrees) {
      flaw(FlawKind::kReserved, "sb.meta_uuid", offsetof(Superblock, meta_uuid), sb_.meta_uuid.bytes[0], 0,
           "nil without the meta_uuid feature");
    }
  }

  // Counters are lazily written: of a mounted or crashed filesystem they are stale, so only their bounds are checked.
  void counters(bool primary) {
    if (!primary) return;
    if (sb_.rblocks == 0) {
      no_realtime("sb.rextents", offsetof(Superblock, rextents), sb_.rextents);
      no_realtime("sb.rbmblocks", offsetof(Superblock, rbmblocks), sb_.rbmblocks);
      no_realtime("sb.rextslog", offsetof(Superblock, rextslog), sb_.rextslog);
      no_realtime("sb.frextents", offsetof(Superblock, frextents), sb_.frextents);
    }
    if (sb_.ifree > sb_.icount) {
      flaw(FlawKind::kCount, "sb.ifree", offsetof(Superblock, ifree), sb_.ifree, sb_.icount, "at most icount");
    }
    if (sb_.fdblocks > sb_.dblocks) {
      flaw(FlawKind::kCount, "sb.fdblocks", offsetof(Superblock, fdblocks), sb_.fdblocks, sb_.dblocks,
           "at most dblocks");
    }
    if (!usable_for_geometry(flaws_)) return;
    const Geometry geometry(sb_);
    if (!geometry.valid_inode(InodeNumber(sb_.rootino))) {
      flaw(FlawKind::kPointer, "sb.rootino", offsetof(Superblock, rootino), sb_.rootino, 0,
           "an inode number inside the filesystem");
    }
  }

 private:
  void no_realtime(const char* field, std::size_t offset_bytes, std::uint64_t value) {
    if (value != 0) flaw(FlawKind::kCount, field, offset_bytes, value, 0, "zero without a realtime device");
  }
  struct Exponents {
    std::uint32_t least;
    std::uint32_t most;
  };
  void power(const char* field, std::size_t offset_bytes, std::uint32_t size, std::uint32_t log, Exponents allowed) {
    if (log < allowed.least || log > allowed.most || size != (1u << log)) {
      flaw(FlawKind::kRange, field, offset_bytes, size, log, "a legal power of two that agrees with its exponent");
    }
  }
  void flaw(FlawKind kind, const char* field, std::size_t offset_bytes, std::uint64_t found, std::uint64_t expected,
            const char* rule) {
    flaws_.add({kind, field, static_cast<std::uint32_t>(offset_bytes), found, expected, rule});
  }

  const Superblock& sb_;
  Flaws& flaws_;
};

}  // namespace

Features Superblock::features() const {
  return {.versionnum = versionnum,
          .features2 = features2,
          .compat = features_compat,
          .ro_compat = features_ro_compat,
          .incompat = features_incompat,
          .log_incompat = features_log_incompat};
}

bool usable_for_geometry(const Flaws& flaws) {
  return !flaws.has(FlawKind::kMagic) && !flaws.has(FlawKind::kVersion) && !flaws.has(FlawKind::kRange) &&
         !flaws.has(FlawKind::kConsistency);
}

std::uint32_t claimed_sector_bytes(ByteSpan first_512_bytes) {
  const auto& superblock = view<Superblock>(first_512_bytes);
  const std::uint32_t log = superblock.sectlog;
  if (superblock.magicnum != Superblock::kMagic) return 0;
  if (log < limits::kMinSectorLog || log > limits::kMaxSectorLog || superblock.sectsize != (1u << log)) return 0;
  return 1u << log;
}

Flaws verify_superblock(ByteSpan sector, const SuperblockExpectation& expected) {
  Flaws flaws;
  const auto& superblock = view<Superblock>(sector);
  if (superblock.magicnum != Superblock::kMagic) {
    flaws.add({FlawKind::kMagic, "sb.magicnum", 0, superblock.magicnum, Superblock::kMagic,
               "the magic of an XFS superblock"});
    return flaws;
  }
  Check check(superblock, flaws);
  check.versions();
  if (flaws.has(FlawKind::kVersion) && (superblock.versionnum & version_bits::kNumberMask) != 5) return flaws;

  const std::uint32_t sector_bytes = claimed_sector_bytes(sector);
  const ByteSpan covered = sector_bytes != 0 && sector_bytes <= sector.size() ? sector.first(sector_bytes) : sector;
  if (const std::uint32_t computed = structure_checksum(covered, kCrcOffset); computed != superblock.crc) {
    flaws.add({FlawKind::kChecksum, "sb.crc", kCrcOffset, superblock.crc, computed, "the checksum of the sector"});
  }
  check.sizes();
  check.groups(expected.device_bytes);
  check.alignments();
  check.rest(expected.primary);
  check.log();
  check.counters(expected.primary);
  return flaws;
}

}  // namespace xdax
