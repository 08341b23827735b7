// Log items: what a transaction says it changed.
//
// After its header (libfs/format/log_record.h) a transaction is a sequence of items. An item is one or more regions;
// each region is one operation, put together again where it was split between records. The first region is the item's
// format structure, in the byte order of the machine that wrote it, and starts with its type and its number of regions.
// What follows it:
//
//   inode     the core (LoggedInodeCore), then a data fork, then an attribute fork, as `fields` says; forks as on disk
//   buffer    one region for each run of set bits in the map: that many 128-byte pieces of the buffer, as on disk
//   dquot     the disk dquot          attri   name, new name, value, new value, those that are there
//   others    nothing
//
// Intents (EFI, RUI, CUI, BUI, ATTRI, XMI) announce work by an id; their done items (EFD, RUD, CUD, BUD, ATTRD, XMD)
// name the id again. Source: XFS Algorithms & Data Structures, "Journaling Log", "Log Items".
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "libfs/base/bytes.h"
#include "libfs/base/endian.h"
#include "libfs/format/flaw.h"
#include "libfs/format/geometry.h"
#include "libfs/format/inode.h"
#include "libfs/format/log_order.h"

namespace xdax {

enum class LogItemType : std::uint16_t {
  kEfi = 0x1236,
  kEfd = 0x1237,
  kIunlink = 0x1238,  ///< no kernel with the v5 format wrote one
  kInode = 0x123b,
  kBuffer = 0x123c,
  kDquot = 0x123d,
  kQuotaoff = 0x123e,
  kIcreate = 0x123f,
  kRui = 0x1240,
  kRud = 0x1241,
  kCui = 0x1242,
  kCud = 0x1243,
  kBui = 0x1244,
  kBud = 0x1245,
  kAttri = 0x1246,
  kAttrd = 0x1247,
  kXmi = 0x1248,
  kXmd = 0x1249,
  // The same for realtime space: recognised, not supported.
  kEfiRt = 0x124a,
  kEfdRt = 0x124b,
  kRuiRt = 0x124c,
  kRudRt = 0x124d,
  kCuiRt = 0x124e,
  kCudRt = 0x124f,
};

/// What every format structure starts with.
struct LogItemHeader {
  le16 type;
  le16 size;  ///< regions of the item, this one included
};
static_assert(sizeof(LogItemHeader) == 4);

/// The type of the item that `region` starts; nullopt when it is none this format has.
[[nodiscard]] std::optional<LogItemType> log_item_type(ByteSpan region);
/// How messages call it: "inode", "efi".
[[nodiscard]] const char* to_string(LogItemType type);

namespace inode_log_fields {
inline constexpr std::uint32_t kCore = 0x001;
inline constexpr std::uint32_t kDataLocal = 0x002;
inline constexpr std::uint32_t kDataExtents = 0x004;
inline constexpr std::uint32_t kDataRoot = 0x008;
inline constexpr std::uint32_t kDev = 0x010;
inline constexpr std::uint32_t kUuid = 0x020;
inline constexpr std::uint32_t kAttrLocal = 0x040;
inline constexpr std::uint32_t kAttrExtents = 0x080;
inline constexpr std::uint32_t kAttrRoot = 0x100;
inline constexpr std::uint32_t kDataOwner = 0x200;  ///< the extent map's blocks change owner
inline constexpr std::uint32_t kAttrOwner = 0x400;
inline constexpr std::uint32_t kVersion = 0x800;     ///< changecount moved
inline constexpr std::uint32_t kTimestamp = 0x4000;  ///< only times moved
inline constexpr std::uint32_t kAnyData = kDataLocal | kDataExtents | kDataRoot;
inline constexpr std::uint32_t kAnyAttr = kAttrLocal | kAttrExtents | kAttrRoot;
inline constexpr std::uint32_t kKnown = 0x4fff;
}  // namespace inode_log_fields

struct InodeLogFormat {
  le16 type;
  le16 size;
  le32 fields;
  le16 asize;  ///< bytes of the attribute fork region
  le16 dsize;  ///< bytes of the data fork region
  le32 pad;
  le64 ino;
  le32 rdev;  ///< a device number where fields has kDev
  le32 pad2[3];
  le64 blkno;    ///< disk address of the inode's cluster
  le32 len;      ///< its length, 512-byte blocks
  le32 boffset;  ///< of the inode in the cluster, bytes
};
static_assert(sizeof(InodeLogFormat) == 56);
static_assert(offsetof(InodeLogFormat, fields) == 4);
static_assert(offsetof(InodeLogFormat, ino) == 16);
static_assert(offsetof(InodeLogFormat, rdev) == 24);
static_assert(offsetof(InodeLogFormat, blkno) == 40);
static_assert(offsetof(InodeLogFormat, boffset) == 52);

/// The second region of an inode item. Its checksum means nothing. Legacy times are two 32-bit words, seconds first.
using LoggedInodeCore = BasicInodeCore<std::endian::little>;
static_assert(sizeof(LoggedInodeCore) == sizeof(InodeCore));

/// The value of a be64 field that says what a logged time says, and the other way round.
[[nodiscard]] constexpr std::uint64_t disk_time_of_logged(std::uint64_t logged, bool bigtime) {
  return bigtime ? logged : logged << 32 | logged >> 32;
}

namespace buf_log_flags {
inline constexpr std::uint16_t kInode = 0x01;   ///< an inode cluster: only unlinked pointers are meant
inline constexpr std::uint16_t kCancel = 0x02;  ///< earlier changes to this buffer must not be replayed
inline constexpr std::uint16_t kUserDquot = 0x04;
inline constexpr std::uint16_t kProjectDquot = 0x08;
inline constexpr std::uint16_t kGroupDquot = 0x10;
inline constexpr unsigned kTypeShift = 11;
}  // namespace buf_log_flags

/// What a logged buffer holds: the upper five bits of its flags.
enum class BufLogType : std::uint8_t {
  kUnknown = 0,
  kUserDquot,
  kProjectDquot,
  kGroupDquot,
  kBtree,
  kAgf,
  kAgfl,
  kAgi,
  kInodes,
  kSymlink,
  kDirBlock,
  kDirData,
  kDirFree,
  kDirLeaf1,
  kDirLeafN,
  kDaNode,
  kAttrLeaf,
  kAttrRemote,
  kSuperblock,
  kRtBitmap,
  kRtSummary,
};

struct BufLogFormat {
  static constexpr std::uint32_t kPieceBytes = 128;  ///< one bit of the map
  static constexpr std::uint32_t kMaxMapWords = 16;  ///< 64 KiB
  static constexpr std::uint32_t kBitsPerMapWord = 32;

  le16 type;
  le16 size;
  le16 flags;
  le16 len;  ///< 512-byte blocks
  le64 blkno;
  le32 map_size;  ///< words of the map that follows

  [[nodiscard]] BufLogType content() const { return static_cast<BufLogType>(flags >> buf_log_flags::kTypeShift); }
  [[nodiscard]] bool cancelled() const { return (flags & buf_log_flags::kCancel) != 0; }
};
static_assert(sizeof(BufLogFormat) == 20);
static_assert(offsetof(BufLogFormat, blkno) == 8);
static_assert(offsetof(BufLogFormat, map_size) == 16);

/// A run of set bits in a buffer item's map, in pieces of 128 bytes.
struct DirtyRun {
  std::uint32_t first = 0;
  std::uint32_t count = 0;
};
/// The first run at or after piece `from`; nullopt at the end. `region` is a verified buffer item's first region.
[[nodiscard]] std::optional<DirtyRun> next_dirty_run(ByteSpan region, std::uint32_t from);

/// New inodes of a chunk. All but its first two fields are big-endian.
struct IcreateLog {
  le16 type;
  le16 size;
  be32 ag;
  be32 agbno;
  be32 count;
  be32 isize;
  be32 length;  ///< blocks
  be32 gen;
};
static_assert(sizeof(IcreateLog) == 28);
static_assert(offsetof(IcreateLog, gen) == 24);

struct DquotLogFormat {
  le16 type;
  le16 size;
  le32 id;
  le64 blkno;
  le32 len;
  le32 boffset;
};
static_assert(sizeof(DquotLogFormat) == 24);

struct QuotaoffLogFormat {
  le16 type;
  le16 size;
  le32 flags;  ///< which quotas went off
  char pad[12];
};
static_assert(sizeof(QuotaoffLogFormat) == 20);

/// EFI, EFD, RUI, CUI, BUI: how many extents follow, and the intent's id.
struct ExtentsLogFormat {
  le16 type;
  le16 size;
  le32 nextents;
  le64 id;
};
static_assert(sizeof(ExtentsLogFormat) == 16);

/// An extent to be freed, as 64-bit and as 32-bit machines lay it out.
struct LoggedExtent {
  le64 start;
  le32 len;
  le32 pad;
};
struct LoggedExtent32 {
  le64 start;
  le32 len;
};
static_assert(sizeof(LoggedExtent) == 16 && sizeof(LoggedExtent32) == 12);

/// A mapping to be made or undone in the reverse map (RUI) or an extent map (BUI).
struct LoggedMapping {
  le64 owner;
  le64 startblock;
  le64 startoff;
  le32 len;
  le32 flags;
};
static_assert(sizeof(LoggedMapping) == 32);

/// A reference count to be changed.
struct LoggedRefcount {
  le64 startblock;
  le32 len;
  le32 flags;
};
static_assert(sizeof(LoggedRefcount) == 16);

namespace intent_flags {
inline constexpr std::uint32_t kTypeMask = 0xff;
inline constexpr std::uint32_t kRmapMap = 1, kRmapMapShared = 2, kRmapUnmap = 3, kRmapUnmapShared = 4;
inline constexpr std::uint32_t kRmapConvert = 5, kRmapConvertShared = 6, kRmapAlloc = 7, kRmapFree = 8;
inline constexpr std::uint32_t kRmapAttrFork = 1u << 31, kRmapBmapBlock = 1u << 30, kRmapUnwritten = 1u << 29;
inline constexpr std::uint32_t kRefcountIncrease = 1, kRefcountDecrease = 2;
inline constexpr std::uint32_t kRefcountAllocCow = 3, kRefcountFreeCow = 4;
inline constexpr std::uint32_t kBmapMap = 1, kBmapUnmap = 2;
inline constexpr std::uint32_t kBmapAttrFork = 1u << 31, kBmapUnwritten = 1u << 30;
}  // namespace intent_flags

/// RUD, CUD, BUD, ATTRD, XMD: the id of the intent that is done.
struct DoneLogFormat {
  le16 type;
  le16 size;
  le32 pad;
  le64 id;
};
static_assert(sizeof(DoneLogFormat) == 16);

namespace attr_intent_ops {
inline constexpr std::uint32_t kTypeMask = 0xff;
inline constexpr std::uint32_t kSet = 1, kRemove = 2, kReplace = 3;
inline constexpr std::uint32_t kParentSet = 4, kParentRemove = 5, kParentReplace = 6;
}  // namespace attr_intent_ops

struct AttriLogFormat {
  le16 type;
  le16 size;
  le32 igen;  ///< generation of the inode, for parent pointers; else zero
  le64 id;
  le64 ino;
  le32 op_flags;
  le16 name_len;      ///< the low half of a 32-bit length; with kParentReplace, of the old name
  le16 new_name_len;  ///< with kParentReplace; else zero
  le32 value_len;
  le32 attr_filter;  ///< flags of an attribute entry

  [[nodiscard]] std::uint32_t op() const { return op_flags & attr_intent_ops::kTypeMask; }
};
static_assert(sizeof(AttriLogFormat) == 40);
static_assert(offsetof(AttriLogFormat, op_flags) == 24);
static_assert(offsetof(AttriLogFormat, name_len) == 28);
static_assert(offsetof(AttriLogFormat, attr_filter) == 36);

namespace exchange_flags {
inline constexpr std::uint64_t kAttrFork = 1u << 0;
inline constexpr std::uint64_t kSetSizes = 1u << 1;
inline constexpr std::uint64_t kInode1Written = 1u << 2;
inline constexpr std::uint64_t kClearReflink1 = 1u << 3;
inline constexpr std::uint64_t kClearReflink2 = 1u << 4;
inline constexpr std::uint64_t kKnown = 0x1f;
}  // namespace exchange_flags

/// A range of two files to be exchanged.
struct XmiLogFormat {
  le16 type;
  le16 size;
  le32 pad;
  le64 id;
  le64 inode1;
  le64 inode2;
  le32 igen1;
  le32 igen2;
  le64 startoff1;
  le64 startoff2;
  le64 blockcount;
  le64 flags;
  le64 isize1;
  le64 isize2;
};
static_assert(sizeof(XmiLogFormat) == 88);
static_assert(offsetof(XmiLogFormat, igen1) == 32);
static_assert(offsetof(XmiLogFormat, flags) == 64);

/// Checks the first region of an item of `type`: its length, and that everything it names lies inside the filesystem.
[[nodiscard]] Flaws verify_log_item(ByteSpan region, LogItemType type, const Geometry& geometry);

/// Checks the second region of an inode item: a core as it would be on disk. Its forks are checked when it is replayed.
[[nodiscard]] Flaws verify_logged_inode_core(ByteSpan region, const Geometry& geometry);

/// The logged core as it lies on disk: other byte order, same fields. `core` is a verified region.
[[nodiscard]] InodeCore disk_core_of_logged(const LoggedInodeCore& core);
/// The reverse.
[[nodiscard]] LoggedInodeCore logged_core_of_disk(const InodeCore& core);

}  // namespace xdax
