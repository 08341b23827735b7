#include "libfs/format/inode.h"

#include "libfs/base/crc32c.h"
#include "libfs/format/inode_fork.h"

namespace xdax {
namespace {

constexpr std::uint32_t kForkoffUnit = 8;
constexpr std::uint64_t kSignBit = 1ull << 63;

class Check {
 public:
  Check(ByteSpan inode, const Geometry& geometry, Flaws& flaws)
      : inode_(inode), core_(view<InodeCore>(inode)), geometry_(geometry), flaws_(flaws) {}

  void identity(const InodeExpectation& expected) {
    if (const std::uint32_t computed = structure_checksum(inode_, offsetof(InodeCore, crc)); computed != core_.crc) {
      flaw(FlawKind::kChecksum, "inode.crc", offsetof(InodeCore, crc), core_.crc, computed,
           "the checksum of the inode");
    }
    if (core_.version != InodeCore::kVersion) {
      flaw(FlawKind::kVersion, "inode.version", offsetof(InodeCore, version), core_.version, InodeCore::kVersion,
           "version 3");
    }
    if (core_.uuid != geometry_.uuid) {
      flaw(FlawKind::kUuid, "inode.uuid", offsetof(InodeCore, uuid), 0, 0, "the uuid of this filesystem");
    }
    if (core_.ino != expected.ino.value()) {
      flaw(FlawKind::kSelfAddress, "inode.ino", offsetof(InodeCore, ino), core_.ino, expected.ino.value(),
           "its own inode number");
    }
    const AgInode next{core_.next_unlinked};
    const AgNumber ag = geometry_.ag_of(expected.ino);
    if (next != kNullAgInode && (!geometry_.valid_ag_inode(ag, next) || next == geometry_.ag_inode_of(expected.ino))) {
      flaw(FlawKind::kPointer, "inode.next_unlinked", offsetof(InodeCore, next_unlinked), next.value(),
           kNullAgInode.value(), "null or another inode of the group");
    } else if (next != kNullAgInode && (!core_.allocated() || core_.nlink != 0)) {
      flaw(FlawKind::kConsistency, "inode.next_unlinked", offsetof(InodeCore, next_unlinked), next.value(),
           kNullAgInode.value(), "null unless the inode is in use and has no link");
    }
  }

  // What holds of any inode, in use or not.
  void always() {
    if (core_.onlink != 0) {
      flaw(FlawKind::kReserved, "inode.onlink", offsetof(InodeCore, onlink), core_.onlink, 0, "zero");
    }
    if ((core_.size & kSignBit) != 0) {
      flaw(FlawKind::kRange, "inode.size", offsetof(InodeCore, size), core_.size, limits::kMaxFileBytes,
           "below 2^63 bytes");
    }
    if ((core_.flags & ~inode_flags::kKnown) != 0) {
      flaw(FlawKind::kReserved, "inode.flags", offsetof(InodeCore, flags), core_.flags, inode_flags::kKnown,
           "known flags only");
    }
    if ((core_.flags2 & ~inode_flags2::kKnown) != 0) {
      flaw(FlawKind::kReserved, "inode.flags2", offsetof(InodeCore, flags2), core_.flags2, inode_flags2::kKnown,
           "known flags only");
    }
    if (!all_zero(inode_.subspan(offsetof(InodeCore, pad2), sizeof(core_.pad2)))) {
      flaw(FlawKind::kReserved, "inode.pad2", offsetof(InodeCore, pad2), 1, 0, "zero");
    }
    if (core_.nrext64() ? core_.anextents != 0 : core_.big_nextents != 0) {
      const std::size_t at = core_.nrext64() ? offsetof(InodeCore, anextents) : offsetof(InodeCore, big_nextents);
      flaw(FlawKind::kReserved, "inode.pad", at, 1, 0, "zero where the other form counts extents");
    }
    feature(inode_flags2::kBigtime, geometry_.features.bigtime(), "the bigtime feature for its flag");
    feature(inode_flags2::kNrext64, geometry_.features.nrext64(), "the nrext64 feature for its flag");
    feature(inode_flags2::kReflink, geometry_.features.reflink(), "the reflink feature for its flag");
    feature(inode_flags2::kCowExtsize, geometry_.features.reflink(), "the reflink feature for the cowextsize flag");
    feature(inode_flags2::kMetadata, false, "the metadir feature for the metadata flag");
  }

  void free_inode() {
    zero("inode.nlink", offsetof(InodeCore, nlink), core_.nlink);
    zero("inode.nblocks", offsetof(InodeCore, nblocks), core_.nblocks);
    zero("inode.nextents", offsetof(InodeCore, nextents), data_extent_count(core_));
    zero("inode.anextents", offsetof(InodeCore, anextents), attr_extent_count(core_));
    zero("inode.forkoff", offsetof(InodeCore, forkoff), core_.forkoff);
  }

  // False when the type is unknown, so that nothing else can be judged by it.
  bool type_and_format() {
    const ForkFormat format = fork_format(core_, Fork::kData);
    const bool mapped = format == ForkFormat::kExtents || format == ForkFormat::kBtree;
    bool agrees = false;
    switch (core_.type()) {
      case FileType::kFifo:
      case FileType::kCharacterDevice:
      case FileType::kBlockDevice:
      case FileType::kSocket:
        agrees = format == ForkFormat::kDev;
        break;
      case FileType::kRegular:
        agrees = mapped;
        break;
      case FileType::kDirectory:
        agrees = mapped || format == ForkFormat::kLocal;
        break;
      case FileType::kSymlink:
        agrees = format == ForkFormat::kExtents || format == ForkFormat::kLocal;
        break;
      default:
        flaw(FlawKind::kRange, "inode.mode", offsetof(InodeCore, mode), core_.mode, kFileTypeMask,
             "a known type of file");
        return false;
    }
    if (!agrees) {
      flaw(FlawKind::kConsistency, "inode.format", offsetof(InodeCore, format), core_.format, core_.mode,
           "a fork format this type of file can have");
    }
    return true;
  }

  void size() {
    const std::uint64_t size = core_.size;
    switch (core_.type()) {
      case FileType::kDirectory:
        // What is being torn down after its last link went may already be empty.
        if ((size == 0 && core_.nlink != 0) ||
            (fork_format(core_, Fork::kData) != ForkFormat::kLocal && size % geometry_.dir_block_bytes() != 0)) {
          flaw(FlawKind::kRange, "inode.size", offsetof(InodeCore, size), size, geometry_.dir_block_bytes(),
               "not zero, and whole directory blocks");
        }
        break;
      case FileType::kSymlink:
        if ((size == 0 && core_.nlink != 0) || size > limits::kMaxSymlinkBytes) {
          flaw(FlawKind::kRange, "inode.size", offsetof(InodeCore, size), size, limits::kMaxSymlinkBytes,
               "1 to 1024 bytes of a symbolic link");
        }
        break;
      case FileType::kRegular:
        break;
      default:
        if (size != 0) {
          flaw(FlawKind::kRange, "inode.size", offsetof(InodeCore, size), size, 0, "zero for a device, fifo or socket");
        }
        break;
    }
  }

  void links_and_times() {
    if (core_.nlink > limits::kMaxLinks && core_.nlink != limits::kPinnedLinks) {
      flaw(FlawKind::kRange, "inode.nlink", offsetof(InodeCore, nlink), core_.nlink, limits::kMaxLinks,
           "at most 2^31 - 1 links");
    }
    time("inode.atime", offsetof(InodeCore, atime), core_.atime);
    time("inode.mtime", offsetof(InodeCore, mtime), core_.mtime);
    time("inode.ctime", offsetof(InodeCore, ctime), core_.ctime);
    time("inode.crtime", offsetof(InodeCore, crtime), core_.crtime);
  }

  void flags_and_hints(const InodeExpectation& expected) {
    const FileType type = core_.type();
    const std::uint16_t flags = core_.flags;
    const std::uint64_t flags2 = core_.flags2;
    const bool file = type == FileType::kRegular;
    const bool directory = type == FileType::kDirectory;
    if ((flags & inode_flags::kRealtime) != 0) {
      flaw(FlawKind::kConsistency, "inode.flags", offsetof(InodeCore, flags), flags, 0,
           "no realtime file without a realtime device");
    }
    if ((flags & inode_flags::kNewRtBitmap) != 0 && expected.ino != geometry_.realtime_bitmap_inode) {
      flaw(FlawKind::kConsistency, "inode.flags", offsetof(InodeCore, flags), flags, inode_flags::kNewRtBitmap,
           "the bitmap's flag on the realtime bitmap only");
    }
    if (((flags & inode_flags::kExtsize) != 0 && !file) || ((flags & inode_flags::kExtszInherit) != 0 && !directory)) {
      flaw(FlawKind::kConsistency, "inode.flags", offsetof(InodeCore, flags), flags, core_.mode,
           "an extent size hint for files, an inherited one for directories");
    }
    if ((flags2 & inode_flags2::kReflink) != 0 && !file) {
      flaw(FlawKind::kConsistency, "inode.flags2", offsetof(InodeCore, flags2), flags2, core_.mode,
           "shared extents in regular files only");
    }
    if ((flags2 & (inode_flags2::kCowExtsize | inode_flags2::kDax)) != 0 && !file && !directory) {
      flaw(FlawKind::kConsistency, "inode.flags2", offsetof(InodeCore, flags2), flags2, core_.mode,
           "dax and cowextsize for files and directories only");
    }
    hint("inode.extsize", offsetof(InodeCore, extsize), core_.extsize,
         (flags & (inode_flags::kExtsize | inode_flags::kExtszInherit)) != 0);
    hint("inode.cowextsize", offsetof(InodeCore, cowextsize), core_.cowextsize,
         (flags2 & inode_flags2::kCowExtsize) != 0);
  }

  void fork_offset() {
    const std::uint32_t room = geometry_.inode_bytes - static_cast<std::uint32_t>(sizeof(InodeCore));
    const std::uint32_t forkoff = core_.forkoff;
    // A device number takes 8 bytes; whatever else the data fork holds, both forks are there.
    const bool legal =
        forkoff == 0 ||
        (fork_format(core_, Fork::kData) == ForkFormat::kDev ? forkoff == 1 : forkoff * kForkoffUnit < room);
    if (!legal) {
      flaw(FlawKind::kRange, "inode.forkoff", offsetof(InodeCore, forkoff), forkoff, room / kForkoffUnit,
           "inside the inode; 1 behind a device number");
    }
    if (forkoff != 0) return;
    const ForkFormat format = fork_format(core_, Fork::kAttr);
    if (format != ForkFormat::kExtents && !(core_.aformat == 0 && !core_.allocated())) {
      flaw(FlawKind::kConsistency, "inode.aformat", offsetof(InodeCore, aformat), core_.aformat,
           static_cast<std::uint64_t>(ForkFormat::kExtents), "extents where there is no attribute fork");
    }
    if (core_.allocated()) zero("inode.anextents", offsetof(InodeCore, anextents), attr_extent_count(core_));
  }

  void blocks() {
    const std::uint64_t data = data_extent_count(core_);
    const std::uint64_t attr = attr_extent_count(core_);
    const bool large = core_.nrext64();
    if (data > (large ? limits::kMaxDataExtentsNrext64 : limits::kMaxDataExtents)) {
      flaw(FlawKind::kCount, "inode.nextents",
           large ? offsetof(InodeCore, big_nextents) : offsetof(InodeCore, nextents), data,
           large ? limits::kMaxDataExtentsNrext64 : limits::kMaxDataExtents, "at most what the format allows");
      return;
    }
    if (attr > (large ? limits::kMaxAttrExtentsNrext64 : limits::kMaxAttrExtents)) {
      flaw(FlawKind::kCount, "inode.anextents", large ? offsetof(InodeCore, nextents) : offsetof(InodeCore, anextents),
           attr, large ? limits::kMaxAttrExtentsNrext64 : limits::kMaxAttrExtents, "at most what the format allows");
    }
    // 2^48 + 2^32: the sum fits.
    const std::uint64_t nblocks = core_.nblocks;
    if (nblocks < data + attr || (data + attr == 0 && nblocks != 0)) {
      flaw(FlawKind::kConsistency, "inode.nblocks", offsetof(InodeCore, nblocks), nblocks, data + attr,
           "at least a block for each extent, none without");
    }
    if (!geometry_.features.reflink() && nblocks > geometry_.data_blocks) {
      flaw(FlawKind::kRange, "inode.nblocks", offsetof(InodeCore, nblocks), nblocks, geometry_.data_blocks,
           "at most the blocks of the filesystem");
    }
    inline_blocks();
  }

 private:
  // Where both forks list their extents here, nblocks is their sum.
  void inline_blocks() {
    std::uint64_t sum = 0;
    for (const Fork fork : {Fork::kData, Fork::kAttr}) {
      const ForkFormat format = fork_format(core_, fork);
      if (format == ForkFormat::kBtree || format == ForkFormat::kMetaBtree) return;
      const auto records = fork_extents(inode_, fork);
      if (records.size() != extent_count(core_, fork)) return;
      for (const ExtentRecord& record : records) sum += Extent::decode(record).length_blocks;
    }
    if (sum != core_.nblocks) {
      flaw(FlawKind::kConsistency, "inode.nblocks", offsetof(InodeCore, nblocks), core_.nblocks, sum,
           "the sum of the extents in its forks");
    }
  }

  void feature(std::uint64_t flag, bool has_feature, const char* rule) {
    if ((core_.flags2 & flag) != 0 && !has_feature) {
      flaw(FlawKind::kConsistency, "inode.flags2", offsetof(InodeCore, flags2), core_.flags2, flag, rule);
    }
  }
  void zero(const char* field, std::size_t offset_bytes, std::uint64_t value) {
    if (value != 0) {
      flaw(FlawKind::kConsistency, field, offset_bytes, value, 0,
           core_.allocated() ? "zero without an attribute fork" : "zero in a free inode");
    }
  }
  void time(const char* field, std::size_t offset_bytes, std::uint64_t stored) {
    if (core_.bigtime()) return;  // every number is a time
    const Timestamp time = decode_timestamp(stored, false);
    if (time.nanoseconds >= Timestamp::kNanosecondsPerSecond) {
      flaw(FlawKind::kRange, field, offset_bytes, time.nanoseconds, Timestamp::kNanosecondsPerSecond,
           "less than a second of nanoseconds");
    }
  }
  void hint(const char* field, std::size_t offset_bytes, std::uint32_t blocks, bool flagged) {
    const bool legal =
        flagged ? blocks != 0 && blocks <= limits::kMaxExtentBlocks && blocks <= geometry_.ag_blocks / 2 : blocks == 0;
    if (!legal) {
      flaw(FlawKind::kRange, field, offset_bytes, blocks, geometry_.ag_blocks / 2,
           "1 to half a group of blocks with its flag, zero without");
    }
  }
  void flaw(FlawKind kind, const char* field, std::size_t offset_bytes, std::uint64_t found, std::uint64_t expected,
            const char* rule) {
    flaws_.add({kind, field, static_cast<std::uint32_t>(offset_bytes), found, expected, rule});
  }

  ByteSpan inode_;
  const InodeCore& core_;
  const Geometry& geometry_;
  Flaws& flaws_;
};

}  // namespace

void set_data_extent_count(InodeCore& core, std::uint64_t count) {
  if (core.nrext64()) {
    XDAX_ASSERT(count <= limits::kMaxDataExtentsNrext64);
    core.big_nextents = count;
  } else {
    XDAX_ASSERT(count <= limits::kMaxDataExtents);
    core.nextents = static_cast<std::uint32_t>(count);
  }
}

void set_attr_extent_count(InodeCore& core, std::uint64_t count) {
  if (core.nrext64()) {
    XDAX_ASSERT(count <= limits::kMaxAttrExtentsNrext64);
    core.nextents = static_cast<std::uint32_t>(count);
  } else {
    XDAX_ASSERT(count <= limits::kMaxAttrExtents);
    core.anextents = static_cast<std::uint16_t>(count);
  }
}

Flaws verify_inode(ByteSpan inode, const Geometry& geometry, const InodeExpectation& expected) {
  XDAX_ASSERT(inode.size() == geometry.inode_bytes && geometry.valid_inode(expected.ino));
  Flaws flaws;
  const auto& core = view<InodeCore>(inode);
  if (core.magic != InodeCore::kMagic) {
    flaws.add({FlawKind::kMagic, "inode.magic", 0, core.magic, InodeCore::kMagic, "the magic of an inode"});
    return flaws;
  }
  Check check(inode, geometry, flaws);
  check.identity(expected);
  check.always();
  if (!core.allocated()) {
    check.free_inode();
    check.fork_offset();
    return flaws;
  }
  if (!check.type_and_format()) return flaws;
  check.size();
  check.links_and_times();
  check.flags_and_hints(expected);
  check.fork_offset();
  check.blocks();
  flaws.add_all(verify_fork(inode, geometry, Fork::kData));
  if (core.forkoff != 0) flaws.add_all(verify_fork(inode, geometry, Fork::kAttr));
  return flaws;
}

}  // namespace xdax
