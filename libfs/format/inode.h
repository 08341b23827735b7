// The inode: a core of 176 bytes, then two forks that share the rest.
//
//   0 magic "IN"  2 mode        4 version 5 format  6 onlink      8 uid         12 gid        16 nlink
//  20 projid_lo  22 projid_hi  24 big_nextents     32 atime      40 mtime       48 ctime      56 size
//  64 nblocks    72 extsize    76 nextents         80 anextents  82 forkoff     83 aformat    84 dmevmask
//  88 dmstate    90 flags      92 gen              96 next_unlinked            100 crc       104 changecount
// 112 lsn       120 flags2    128 cowextsize      132 pad2[12]  144 crtime     152 ino       160 uuid  176 data fork
//
// Which fields count extents depends on the inode's own nrext64 flag: with it, big_nextents counts the data fork, the
// 32 bits at 76 the attribute fork, and 80 is padding; without it, 76 counts the data fork, 80 the attribute fork,
// and 24 is padding. The attribute fork starts forkoff * 8 bytes into the fork area (libfs/format/inode_fork.h).
// The same core, in the byte order of the machine that wrote it, is what a log holds (libfs/format/log_items.h).
// Source: XFS Algorithms & Data Structures, "On-disk Inode".
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

#include "libfs/base/bytes.h"
#include "libfs/base/endian.h"
#include "libfs/base/units.h"
#include "libfs/base/uuid.h"
#include "libfs/format/flaw.h"
#include "libfs/format/geometry.h"
#include "libfs/format/timestamp.h"

namespace xdax {

/// The upper four bits of a mode.
enum class FileType : std::uint16_t {
  kNone = 0,  ///< a free inode
  kFifo = 0x1000,
  kCharacterDevice = 0x2000,
  kDirectory = 0x4000,
  kBlockDevice = 0x6000,
  kRegular = 0x8000,
  kSymlink = 0xa000,
  kSocket = 0xc000,
};
inline constexpr std::uint16_t kFileTypeMask = 0xf000;

/// How a fork stores its content.
enum class ForkFormat : std::uint8_t {
  kDev = 0,        ///< a device number, or nothing: fifo, socket, device
  kLocal = 1,      ///< the content itself
  kExtents = 2,    ///< extent records
  kBtree = 3,      ///< the root of an extent map
  kUuid = 4,       ///< never used
  kMetaBtree = 5,  ///< the root of a realtime tree in a metadata file; recognised, not supported
};

namespace inode_flags {
inline constexpr std::uint16_t kRealtime = 1u << 0;
inline constexpr std::uint16_t kPrealloc = 1u << 1;
inline constexpr std::uint16_t kNewRtBitmap = 1u << 2;
inline constexpr std::uint16_t kImmutable = 1u << 3;
inline constexpr std::uint16_t kAppend = 1u << 4;
inline constexpr std::uint16_t kSync = 1u << 5;
inline constexpr std::uint16_t kNoAtime = 1u << 6;
inline constexpr std::uint16_t kNoDump = 1u << 7;
inline constexpr std::uint16_t kRtInherit = 1u << 8;
inline constexpr std::uint16_t kProjInherit = 1u << 9;
inline constexpr std::uint16_t kNoSymlinks = 1u << 10;
inline constexpr std::uint16_t kExtsize = 1u << 11;
inline constexpr std::uint16_t kExtszInherit = 1u << 12;
inline constexpr std::uint16_t kNoDefrag = 1u << 13;
inline constexpr std::uint16_t kFilestream = 1u << 14;
inline constexpr std::uint16_t kKnown = 0x7fff;
}  // namespace inode_flags

namespace inode_flags2 {
inline constexpr std::uint64_t kDax = 1u << 0;
inline constexpr std::uint64_t kReflink = 1u << 1;
inline constexpr std::uint64_t kCowExtsize = 1u << 2;
inline constexpr std::uint64_t kBigtime = 1u << 3;
inline constexpr std::uint64_t kNrext64 = 1u << 4;
inline constexpr std::uint64_t kMetadata = 1u << 5;
inline constexpr std::uint64_t kKnown = 0x3f;
}  // namespace inode_flags2

namespace limits {
inline constexpr std::uint64_t kMaxDataExtents = (1ull << 31) - 1;
inline constexpr std::uint64_t kMaxAttrExtents = (1ull << 15) - 1;
inline constexpr std::uint64_t kMaxDataExtentsNrext64 = (1ull << 48) - 1;
inline constexpr std::uint64_t kMaxAttrExtentsNrext64 = (1ull << 32) - 1;
inline constexpr std::uint32_t kMaxLinks = 0x7fffffff;
/// A link count that overflowed is pinned here for good.
inline constexpr std::uint32_t kPinnedLinks = 0xffffffff;
inline constexpr std::uint32_t kMaxSymlinkBytes = 1024;
}  // namespace limits

/// The core in one byte order: big on disk, the writer's in a log. The checksum is little-endian in both.
template <std::endian Order>
struct BasicInodeCore {
  using U16 = Stored<std::uint16_t, Order>;
  using U32 = Stored<std::uint32_t, Order>;
  using U64 = Stored<std::uint64_t, Order>;
  static constexpr std::uint16_t kMagic = 0x494e;  // "IN"
  static constexpr std::uint8_t kVersion = 3;

  U16 magic;
  U16 mode;
  std::uint8_t version;
  std::uint8_t format;  ///< a ForkFormat
  U16 onlink;
  U32 uid;
  U32 gid;
  U32 nlink;
  U16 projid_lo;
  U16 projid_hi;
  U64 big_nextents;
  U64 atime;
  U64 mtime;
  U64 ctime;
  U64 size;
  U64 nblocks;
  U32 extsize;
  U32 nextents;   ///< big_anextents with the nrext64 flag
  U16 anextents;  ///< padding with the nrext64 flag
  std::uint8_t forkoff;
  std::uint8_t aformat;  ///< a ForkFormat
  U32 dmevmask;
  U16 dmstate;
  U16 flags;
  U32 gen;
  U32 next_unlinked;
  le32 crc;
  U64 changecount;
  U64 lsn;
  U64 flags2;
  U32 cowextsize;
  std::uint8_t pad2[12];
  U64 crtime;
  U64 ino;
  Uuid uuid;

  [[nodiscard]] FileType type() const { return static_cast<FileType>(mode & kFileTypeMask); }
  [[nodiscard]] bool allocated() const { return mode != 0; }
  [[nodiscard]] bool bigtime() const { return (flags2 & inode_flags2::kBigtime) != 0; }
  [[nodiscard]] bool nrext64() const { return (flags2 & inode_flags2::kNrext64) != 0; }
  [[nodiscard]] bool reflink() const { return (flags2 & inode_flags2::kReflink) != 0; }
  [[nodiscard]] std::uint32_t projid() const { return std::uint32_t{projid_hi} << 16 | projid_lo; }
};

using InodeCore = BasicInodeCore<std::endian::big>;

static_assert(sizeof(InodeCore) == 176);
static_assert(offsetof(InodeCore, mode) == 2);
static_assert(offsetof(InodeCore, version) == 4);
static_assert(offsetof(InodeCore, format) == 5);
static_assert(offsetof(InodeCore, uid) == 8);
static_assert(offsetof(InodeCore, nlink) == 16);
static_assert(offsetof(InodeCore, projid_lo) == 20);
static_assert(offsetof(InodeCore, big_nextents) == 24);
static_assert(offsetof(InodeCore, atime) == 32);
static_assert(offsetof(InodeCore, size) == 56);
static_assert(offsetof(InodeCore, nblocks) == 64);
static_assert(offsetof(InodeCore, extsize) == 72);
static_assert(offsetof(InodeCore, nextents) == 76);
static_assert(offsetof(InodeCore, anextents) == 80);
static_assert(offsetof(InodeCore, forkoff) == 82);
static_assert(offsetof(InodeCore, aformat) == 83);
static_assert(offsetof(InodeCore, flags) == 90);
static_assert(offsetof(InodeCore, gen) == 92);
static_assert(offsetof(InodeCore, next_unlinked) == 96);
static_assert(offsetof(InodeCore, crc) == 100);
static_assert(offsetof(InodeCore, changecount) == 104);
static_assert(offsetof(InodeCore, flags2) == 120);
static_assert(offsetof(InodeCore, cowextsize) == 128);
static_assert(offsetof(InodeCore, crtime) == 144);
static_assert(offsetof(InodeCore, ino) == 152);
static_assert(offsetof(InodeCore, uuid) == 160);

/// Extents of the data fork, as the inode's own flag says they are counted.
template <std::endian Order>
[[nodiscard]] std::uint64_t data_extent_count(const BasicInodeCore<Order>& core) {
  return core.nrext64() ? core.big_nextents.get() : core.nextents.get();
}
/// Extents of the attribute fork.
template <std::endian Order>
[[nodiscard]] std::uint64_t attr_extent_count(const BasicInodeCore<Order>& core) {
  return core.nrext64() ? core.nextents.get() : core.anextents.get();
}
/// Store a count where the inode's own flag says. Assert that it fits.
void set_data_extent_count(InodeCore& core, std::uint64_t count);
void set_attr_extent_count(InodeCore& core, std::uint64_t count);

struct InodeExpectation {
  InodeNumber ino;  ///< must be valid
};

/// Checks one whole inode (`inode.size()` is the geometry's inode size): every field of the core and the forks inside
/// it: sizes, extent records, tree roots, the text of a symbolic link. The content of a directory and of attributes
/// inside the inode is left to verify_dir_shortform() and verify_attr_shortform(). Free inodes (mode 0), fresh or used
/// before, and inodes without links are legal; whether they ought to be so is for whoever knows the inode trees.
[[nodiscard]] Flaws verify_inode(ByteSpan inode, const Geometry& geometry, const InodeExpectation& expected);

}  // namespace xdax
