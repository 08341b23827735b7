#include "libfs/format/log_items.h"

#include <algorithm>
#include <array>
#include <span>

#include "libfs/base/math.h"
#include "libfs/format/btree_records.h"

namespace xdax {
namespace {

struct NamedType {
  LogItemType type;
  const char* name;
};
constexpr NamedType kTypes[] = {
    {LogItemType::kEfi, "efi"},           {LogItemType::kEfd, "efd"},         {LogItemType::kIunlink, "iunlink"},
    {LogItemType::kInode, "inode"},       {LogItemType::kBuffer, "buffer"},   {LogItemType::kDquot, "dquot"},
    {LogItemType::kQuotaoff, "quotaoff"}, {LogItemType::kIcreate, "icreate"}, {LogItemType::kRui, "rui"},
    {LogItemType::kRud, "rud"},           {LogItemType::kCui, "cui"},         {LogItemType::kCud, "cud"},
    {LogItemType::kBui, "bui"},           {LogItemType::kBud, "bud"},         {LogItemType::kAttri, "attri"},
    {LogItemType::kAttrd, "attrd"},       {LogItemType::kXmi, "xmi"},         {LogItemType::kXmd, "xmd"},
    {LogItemType::kEfiRt, "efi_rt"},      {LogItemType::kEfdRt, "efd_rt"},    {LogItemType::kRuiRt, "rui_rt"},
    {LogItemType::kRudRt, "rud_rt"},      {LogItemType::kCuiRt, "cui_rt"},    {LogItemType::kCudRt, "cud_rt"},
};

constexpr std::uint32_t kMaxAttrNameBytes = 255;
constexpr std::uint32_t kMaxAttrValueBytes = 65536;
/// root, secure, parent; incomplete is never asked for by an intent, but cleared by one
constexpr std::uint32_t kAttrFilterKnown = 0x02 | 0x04 | 0x08 | 0x80;
constexpr std::uint32_t kDiskDquotBytes = 136;
constexpr std::uint32_t kMaxBufferBlocks =
    BufLogFormat::kMaxMapWords * BufLogFormat::kBitsPerMapWord * BufLogFormat::kPieceBytes / kBasicBlockBytes;

class Check {
 public:
  Check(ByteSpan region, const Geometry& geometry, Flaws& flaws)
      : region_(region), geometry_(geometry), flaws_(flaws) {}

  void inode() {
    if (!length(sizeof(InodeLogFormat))) return;
    const auto& item = view<InodeLogFormat>(region_);
    regions({.least = 2, .most = 4});
    if (!geometry_.valid_inode(InodeNumber(item.ino))) {
      flaw(FlawKind::kPointer, "ilf.ino", offsetof(InodeLogFormat, ino), item.ino, 0, "an inode of the filesystem");
    }
    if ((item.fields & ~inode_log_fields::kKnown) != 0) {
      flaw(FlawKind::kReserved, "ilf.fields", offsetof(InodeLogFormat, fields), item.fields, inode_log_fields::kKnown,
           "known fields only");
    }
    const std::uint32_t room = geometry_.inode_bytes - static_cast<std::uint32_t>(sizeof(InodeCore));
    if ((item.fields & inode_log_fields::kAnyData) != 0 && item.dsize > room) {
      flaw(FlawKind::kRange, "ilf.dsize", offsetof(InodeLogFormat, dsize), item.dsize, room, "inside an inode");
    }
    if ((item.fields & inode_log_fields::kAnyAttr) != 0 && item.asize > room) {
      flaw(FlawKind::kRange, "ilf.asize", offsetof(InodeLogFormat, asize), item.asize, room, "inside an inode");
    }
    buffer_place("ilf.blkno", offsetof(InodeLogFormat, blkno), item.blkno, item.len);
    const std::uint64_t bytes = std::uint64_t{item.len} * kBasicBlockBytes;
    if (item.boffset % geometry_.inode_bytes != 0 || !range_fits(item.boffset, geometry_.inode_bytes, bytes)) {
      flaw(FlawKind::kRange, "ilf.boffset", offsetof(InodeLogFormat, boffset), item.boffset, bytes,
           "an inode of its cluster");
    }
  }

  void buffer() {
    if (region_.size() < sizeof(BufLogFormat)) {
      length(sizeof(BufLogFormat));
      return;
    }
    const auto& item = view<BufLogFormat>(region_);
    buffer_place("blf.blkno", offsetof(BufLogFormat, blkno), item.blkno, item.len);
    if (item.content() > BufLogType::kRtSummary) {
      flaw(FlawKind::kRange, "blf.flags", offsetof(BufLogFormat, flags), item.flags, 0, "a known kind of content");
    }
    const std::uint64_t room = (region_.size() - sizeof(BufLogFormat)) / sizeof(le32);
    if (item.map_size > BufLogFormat::kMaxMapWords || item.map_size > room) {
      flaw(FlawKind::kCount, "blf.map_size", offsetof(BufLogFormat, map_size), item.map_size, room,
           "a map inside the region, at most 16 words");
      return;
    }
    dirty_map(item);
  }

  void icreate() {
    if (!length(sizeof(IcreateLog))) return;
    const auto& item = view<IcreateLog>(region_);
    regions({.least = 1, .most = 1});
    const AgNumber ag{item.ag};
    const bool placed = geometry_.valid_ag_block(ag, AgBlock(item.agbno)) && item.length != 0 &&
                        range_fits(item.agbno, item.length, geometry_.ag_length_blocks(ag));
    if (!placed) {
      flaw(FlawKind::kPointer, "icl.agbno", offsetof(IcreateLog, agbno), item.agbno, item.ag,
           "blocks inside a group, past its header");
    }
    if (item.isize != geometry_.inode_bytes) {
      flaw(FlawKind::kConsistency, "icl.isize", offsetof(IcreateLog, isize), item.isize, geometry_.inode_bytes,
           "the inode size");
    }
    if (item.count == 0 || item.count != std::uint64_t{item.length} << geometry_.inodes_per_block_log) {
      flaw(FlawKind::kConsistency, "icl.count", offsetof(IcreateLog, count), item.count,
           std::uint64_t{item.length} << geometry_.inodes_per_block_log, "the inodes that fit its blocks");
    }
  }

  void dquot() {
    if (!length(sizeof(DquotLogFormat))) return;
    const auto& item = view<DquotLogFormat>(region_);
    regions({.least = 2, .most = 2});
    buffer_place("qlf.blkno", offsetof(DquotLogFormat, blkno), item.blkno, item.len);
    const std::uint64_t bytes = std::uint64_t{item.len} * kBasicBlockBytes;
    if (item.boffset % kDiskDquotBytes != 0 || !range_fits(item.boffset, kDiskDquotBytes, bytes)) {
      flaw(FlawKind::kRange, "qlf.boffset", offsetof(DquotLogFormat, boffset), item.boffset, bytes,
           "a dquot of its block");
    }
  }

  void quotaoff() {
    if (length(sizeof(QuotaoffLogFormat))) regions({.least = 1, .most = 1});
  }

  void extent_free(bool intent) {
    const auto* item = extents(sizeof(LoggedExtent), sizeof(LoggedExtent32));
    // A done item's extents are a record of what was freed; only the id counts.
    if (item == nullptr || !intent) return;
    const std::size_t stride = (region_.size() - sizeof(ExtentsLogFormat)) / item->nextents;
    for (std::uint32_t i = 0; i < item->nextents; ++i) {
      const std::size_t at = sizeof(ExtentsLogFormat) + i * stride;
      const auto& extent = view<LoggedExtent32>(region_, at);
      blocks("efi.extents", at, extent.start, extent.len);
    }
  }

  void rmap_update() {
    const auto* item = extents(sizeof(LoggedMapping), sizeof(LoggedMapping));
    if (item == nullptr) return;
    constexpr std::uint32_t kKnown = intent_flags::kTypeMask | intent_flags::kRmapAttrFork |
                                     intent_flags::kRmapBmapBlock | intent_flags::kRmapUnwritten;
    for (std::uint32_t i = 0; i < item->nextents; ++i) {
      const std::size_t at = sizeof(ExtentsLogFormat) + i * sizeof(LoggedMapping);
      const auto& map = view<LoggedMapping>(region_, at);
      blocks("rui.extents", at, map.startblock, map.len);
      flags("rui.flags", at, map.flags, {.least = intent_flags::kRmapMap, .most = intent_flags::kRmapFree}, kKnown);
      const bool known = rmap::is_special(map.owner)
                             ? map.owner < rmap::kOwnerUnknown && map.owner > rmap::kOwnerMinSpecial
                             : geometry_.valid_inode(InodeNumber(map.owner));
      if (!known) flaw(FlawKind::kOwner, "rui.owner", at, map.owner, 0, "an inode or a known special owner");
      const bool has_offset = !rmap::is_special(map.owner) && (map.flags & intent_flags::kRmapBmapBlock) == 0;
      if (has_offset) file_range("rui.startoff", at, map.startoff, map.len);
    }
  }

  void refcount_update() {
    const auto* item = extents(sizeof(LoggedRefcount), sizeof(LoggedRefcount));
    if (item == nullptr) return;
    for (std::uint32_t i = 0; i < item->nextents; ++i) {
      const std::size_t at = sizeof(ExtentsLogFormat) + i * sizeof(LoggedRefcount);
      const auto& change = view<LoggedRefcount>(region_, at);
      blocks("cui.extents", at, change.startblock, change.len);
      flags("cui.flags", at, change.flags,
            {.least = intent_flags::kRefcountIncrease, .most = intent_flags::kRefcountFreeCow},
            intent_flags::kTypeMask);
    }
  }

  void bmap_update() {
    const auto* item = extents(sizeof(LoggedMapping), sizeof(LoggedMapping));
    if (item == nullptr) return;
    constexpr std::uint32_t kKnown =
        intent_flags::kTypeMask | intent_flags::kBmapAttrFork | intent_flags::kBmapUnwritten;
    if (item->nextents != 1) {
      flaw(FlawKind::kCount, "bui.nextents", offsetof(ExtentsLogFormat, nextents), item->nextents, 1, "one mapping");
      return;
    }
    const std::size_t at = sizeof(ExtentsLogFormat);
    const auto& map = view<LoggedMapping>(region_, at);
    blocks("bui.extents", at, map.startblock, map.len);
    flags("bui.flags", at, map.flags, {.least = intent_flags::kBmapMap, .most = intent_flags::kBmapUnmap}, kKnown);
    if (!geometry_.valid_inode(InodeNumber(map.owner))) {
      flaw(FlawKind::kOwner, "bui.owner", at, map.owner, 0, "an inode of the filesystem");
    }
    file_range("bui.startoff", at, map.startoff, map.len);
  }

  void done() {
    if (length(sizeof(DoneLogFormat))) regions({.least = 1, .most = 1});
  }

  void attr_update() {
    if (!length(sizeof(AttriLogFormat))) return;
    const auto& item = view<AttriLogFormat>(region_);
    regions({.least = 2, .most = 5});
    const std::uint32_t op = item.op();
    if (op < attr_intent_ops::kSet || op > attr_intent_ops::kParentReplace ||
        (item.op_flags & ~attr_intent_ops::kTypeMask) != 0) {
      flaw(FlawKind::kRange, "attri.op_flags", offsetof(AttriLogFormat, op_flags), item.op_flags,
           attr_intent_ops::kParentReplace, "a known operation");
    }
    if (!geometry_.valid_inode(InodeNumber(item.ino))) {
      flaw(FlawKind::kPointer, "attri.ino", offsetof(AttriLogFormat, ino), item.ino, 0, "an inode of the filesystem");
    }
    const bool renames = op == attr_intent_ops::kParentReplace;
    const bool new_name_legal =
        renames ? item.new_name_len != 0 && item.new_name_len <= kMaxAttrNameBytes : item.new_name_len == 0;
    if (item.name_len == 0 || item.name_len > kMaxAttrNameBytes || !new_name_legal) {
      flaw(FlawKind::kRange, "attri.name_len", offsetof(AttriLogFormat, name_len), item.name_len, kMaxAttrNameBytes,
           "1 to 255 bytes, a new name only where one is replaced");
    }
    if (item.value_len > kMaxAttrValueBytes) {
      flaw(FlawKind::kRange, "attri.value_len", offsetof(AttriLogFormat, value_len), item.value_len, kMaxAttrValueBytes,
           "at most 64 KiB");
    }
    if ((item.attr_filter & ~kAttrFilterKnown) != 0) {
      flaw(FlawKind::kReserved, "attri.attr_filter", offsetof(AttriLogFormat, attr_filter), item.attr_filter,
           kAttrFilterKnown, "known namespaces only");
    }
  }

  void exchange() {
    if (!length(sizeof(XmiLogFormat))) return;
    const auto& item = view<XmiLogFormat>(region_);
    regions({.least = 1, .most = 1});
    for (const auto& [ino, at] : {std::pair{&item.inode1, offsetof(XmiLogFormat, inode1)},
                                  std::pair{&item.inode2, offsetof(XmiLogFormat, inode2)}}) {
      if (!geometry_.valid_inode(InodeNumber(*ino))) {
        flaw(FlawKind::kPointer, "xmi.inode", at, *ino, 0, "an inode of the filesystem");
      }
    }
    if ((item.flags & ~exchange_flags::kKnown) != 0) {
      flaw(FlawKind::kReserved, "xmi.flags", offsetof(XmiLogFormat, flags), item.flags, exchange_flags::kKnown,
           "known flags only");
    }
    file_range("xmi.startoff1", offsetof(XmiLogFormat, startoff1), item.startoff1, item.blockcount);
    file_range("xmi.startoff2", offsetof(XmiLogFormat, startoff2), item.startoff2, item.blockcount);
  }

 private:
  struct Bounds {
    std::uint32_t least;
    std::uint32_t most;
  };

  bool length(std::size_t bytes) {
    if (region_.size() == bytes) return true;
    flaw(FlawKind::kRange, "item.length", 0, region_.size(), bytes, "the length of its format structure");
    return false;
  }

  void regions(const Bounds& bounds) {
    const std::uint32_t count = view<LogItemHeader>(region_).size;
    if (count < bounds.least || count > bounds.most) {
      flaw(FlawKind::kCount, "item.size", offsetof(LogItemHeader, size), count, bounds.most,
           "the regions this item has");
    }
  }

  // The header of an item that lists extents of one of two sizes; null unless the list fills the region exactly.
  const ExtentsLogFormat* extents(std::size_t extent_bytes, std::size_t other_extent_bytes) {
    if (region_.size() < sizeof(ExtentsLogFormat)) {
      length(sizeof(ExtentsLogFormat));
      return nullptr;
    }
    const auto& item = view<ExtentsLogFormat>(region_);
    regions({.least = 1, .most = 1});
    const std::uint64_t listed = region_.size() - sizeof(ExtentsLogFormat);
    const std::uint64_t count = item.nextents;
    if (count == 0 || (listed != count * extent_bytes && listed != count * other_extent_bytes)) {
      flaw(FlawKind::kCount, "item.nextents", offsetof(ExtentsLogFormat, nextents), count, listed / extent_bytes,
           "the extents that fill the region");
      return nullptr;
    }
    return &item;
  }

  void dirty_map(const BufLogFormat& item) {
    const std::uint32_t pieces = item.len * (kBasicBlockBytes / BufLogFormat::kPieceBytes);
    std::uint32_t runs = 0;
    std::uint32_t end = 0;
    for (auto run = next_dirty_run(region_, 0); run; run = next_dirty_run(region_, end)) {
      end = run->first + run->count;
      ++runs;
    }
    if (end > pieces) {
      flaw(FlawKind::kRange, "blf.data_map", sizeof(BufLogFormat), end, pieces, "inside the buffer");
    }
    // A run may be split into several regions where the writer's memory was.
    const bool legal = item.cancelled() ? item.size == 1 : runs > 0 && item.size > runs;
    if (!legal) {
      flaw(FlawKind::kCount, "blf.size", offsetof(BufLogFormat, size), item.size, runs + 1,
           "a region for each run of the map, none when cancelled");
    }
  }

  // A buffer of `length` blocks of 512 bytes at disk address `address`.
  void buffer_place(const char* field, std::size_t offset_bytes, std::uint64_t address, std::uint32_t length_blocks) {
    if (length_blocks == 0 || length_blocks > kMaxBufferBlocks ||
        !range_fits(address, length_blocks, geometry_.size_bytes() >> kBasicBlockLog)) {
      flaw(FlawKind::kPointer, field, offset_bytes, address, length_blocks, "a buffer of at most 64 KiB on the device");
    }
  }
  void blocks(const char* field, std::size_t offset_bytes, std::uint64_t start, std::uint64_t length_blocks) {
    if (!geometry_.valid_extent(FsBlock(start), length_blocks)) {
      flaw(FlawKind::kPointer, field, offset_bytes, start, length_blocks, "one or more blocks inside one group");
    }
  }
  void file_range(const char* field, std::size_t offset_bytes, std::uint64_t start, std::uint64_t length_blocks) {
    if (length_blocks == 0 || !range_fits(start, length_blocks, geometry_.max_file_blocks())) {
      flaw(FlawKind::kRange, field, offset_bytes, start, length_blocks, "a range below 2^63 bytes");
    }
  }
  void flags(const char* field, std::size_t offset_bytes, std::uint32_t value, const Bounds& types,
             std::uint32_t known) {
    const std::uint32_t type = value & intent_flags::kTypeMask;
    if (type < types.least || type > types.most || (value & ~known) != 0) {
      flaw(FlawKind::kRange, field, offset_bytes, value, known, "a known operation and known flags");
    }
  }
  void flaw(FlawKind kind, const char* field, std::size_t offset_bytes, std::uint64_t found, std::uint64_t expected,
            const char* rule) {
    flaws_.add({kind, field, static_cast<std::uint32_t>(offset_bytes), found, expected, rule});
  }

  ByteSpan region_;
  const Geometry& geometry_;
  Flaws& flaws_;
};

}  // namespace

std::optional<LogItemType> log_item_type(ByteSpan region) {
  if (region.size() < sizeof(LogItemHeader)) return std::nullopt;
  const std::uint16_t stored = view<LogItemHeader>(region).type;
  for (const NamedType& known : kTypes) {
    if (stored == static_cast<std::uint16_t>(known.type)) return known.type;
  }
  return std::nullopt;
}

const char* to_string(LogItemType type) {
  for (const NamedType& known : kTypes) {
    if (type == known.type) return known.name;
  }
  return "unknown";
}

std::optional<DirtyRun> next_dirty_run(ByteSpan region, std::uint32_t from) {
  const auto& item = view<BufLogFormat>(region);
  const auto words = view_array<le32>(region, sizeof(BufLogFormat), item.map_size);
  const auto bits = static_cast<std::uint32_t>(words.size()) * BufLogFormat::kBitsPerMapWord;
  const auto dirty = [&](std::uint32_t bit) {
    return (words[bit / BufLogFormat::kBitsPerMapWord] >> (bit % BufLogFormat::kBitsPerMapWord) & 1) != 0;
  };
  std::uint32_t first = from;
  while (first < bits && !dirty(first)) ++first;
  if (first >= bits) return std::nullopt;
  std::uint32_t end = first + 1;
  while (end < bits && dirty(end)) ++end;
  return DirtyRun{.first = first, .count = end - first};
}

Flaws verify_log_item(ByteSpan region, LogItemType type, const Geometry& geometry) {
  Flaws flaws;
  if (region.size() < sizeof(LogItemHeader) || view<LogItemHeader>(region).type != static_cast<std::uint16_t>(type)) {
    flaws.add({FlawKind::kMagic, "item.type", 0, region.size(), static_cast<std::uint64_t>(type), "its type"});
    return flaws;
  }
  Check check(region, geometry, flaws);
  switch (type) {
    case LogItemType::kInode:
      check.inode();
      break;
    case LogItemType::kBuffer:
      check.buffer();
      break;
    case LogItemType::kIcreate:
      check.icreate();
      break;
    case LogItemType::kDquot:
      check.dquot();
      break;
    case LogItemType::kQuotaoff:
      check.quotaoff();
      break;
    case LogItemType::kEfi:
    case LogItemType::kEfd:
      check.extent_free(type == LogItemType::kEfi);
      break;
    case LogItemType::kRui:
      check.rmap_update();
      break;
    case LogItemType::kCui:
      check.refcount_update();
      break;
    case LogItemType::kBui:
      check.bmap_update();
      break;
    case LogItemType::kAttri:
      check.attr_update();
      break;
    case LogItemType::kXmi:
      check.exchange();
      break;
    case LogItemType::kRud:
    case LogItemType::kCud:
    case LogItemType::kBud:
    case LogItemType::kAttrd:
    case LogItemType::kXmd:
      check.done();
      break;
    default:
      flaws.add({FlawKind::kRange, "item.type", 0, static_cast<std::uint64_t>(type), 0,
                 "no item of a realtime device or of an older format"});
      break;
  }
  return flaws;
}

Flaws verify_logged_inode_core(ByteSpan region, const Geometry& geometry) {
  Flaws flaws;
  const auto add = [&flaws](FlawKind kind, const char* field, std::size_t at, std::uint64_t found,
                            std::uint64_t expected, const char* rule) {
    flaws.add({kind, field, static_cast<std::uint32_t>(at), found, expected, rule});
  };
  if (region.size() != sizeof(LoggedInodeCore)) {
    add(FlawKind::kRange, "item.length", 0, region.size(), sizeof(LoggedInodeCore), "the length of a core");
    return flaws;
  }
  const auto& core = view<LoggedInodeCore>(region);
  if (core.magic != LoggedInodeCore::kMagic) {
    add(FlawKind::kMagic, "inode.magic", 0, core.magic, LoggedInodeCore::kMagic, "the magic of an inode");
    return flaws;
  }
  if (core.version != LoggedInodeCore::kVersion) {
    add(FlawKind::kVersion, "inode.version", offsetof(LoggedInodeCore, version), core.version,
        LoggedInodeCore::kVersion, "version 3");
  }
  if (core.uuid != geometry.uuid) {
    add(FlawKind::kUuid, "inode.uuid", offsetof(LoggedInodeCore, uuid), 0, 0, "the uuid of this filesystem");
  }
  if (!geometry.valid_inode(InodeNumber(core.ino))) {
    add(FlawKind::kPointer, "inode.ino", offsetof(LoggedInodeCore, ino), core.ino, 0, "an inode of the filesystem");
  }
  const std::uint32_t room = geometry.inode_bytes - static_cast<std::uint32_t>(sizeof(InodeCore));
  if (core.forkoff * 8u >= room) {
    add(FlawKind::kRange, "inode.forkoff", offsetof(LoggedInodeCore, forkoff), core.forkoff, room / 8,
        "inside the inode");
  }
  if (core.size > limits::kMaxFileBytes) {
    add(FlawKind::kRange, "inode.size", offsetof(LoggedInodeCore, size), core.size, limits::kMaxFileBytes,
        "below 2^63 bytes");
  }
  const std::uint64_t extents = std::min(data_extent_count(core), limits::kMaxDataExtentsNrext64 + 1);
  if (core.allocated() && extents + attr_extent_count(core) > core.nblocks) {
    add(FlawKind::kConsistency, "inode.nblocks", offsetof(LoggedInodeCore, nblocks), core.nblocks, extents,
        "at least a block for each extent");
  }
  return flaws;
}

namespace {

// The same fields in the other byte order; only a time of the old form is not just a number.
template <class To, class From>
To reordered_core(const From& core) {
  const bool big = core.bigtime();
  To to{};
  to.magic = core.magic.get();
  to.mode = core.mode.get();
  to.version = core.version;
  to.format = core.format;
  to.onlink = core.onlink.get();
  to.uid = core.uid.get();
  to.gid = core.gid.get();
  to.nlink = core.nlink.get();
  to.projid_lo = core.projid_lo.get();
  to.projid_hi = core.projid_hi.get();
  to.big_nextents = core.big_nextents.get();
  to.atime = disk_time_of_logged(core.atime, big);
  to.mtime = disk_time_of_logged(core.mtime, big);
  to.ctime = disk_time_of_logged(core.ctime, big);
  to.size = core.size.get();
  to.nblocks = core.nblocks.get();
  to.extsize = core.extsize.get();
  to.nextents = core.nextents.get();
  to.anextents = core.anextents.get();
  to.forkoff = core.forkoff;
  to.aformat = core.aformat;
  to.dmevmask = core.dmevmask.get();
  to.dmstate = core.dmstate.get();
  to.flags = core.flags.get();
  to.gen = core.gen.get();
  to.next_unlinked = core.next_unlinked.get();
  to.crc = core.crc.get();
  to.changecount = core.changecount.get();
  to.lsn = core.lsn.get();
  to.flags2 = core.flags2.get();
  to.cowextsize = core.cowextsize.get();
  std::copy(std::begin(core.pad2), std::end(core.pad2), std::begin(to.pad2));
  to.crtime = disk_time_of_logged(core.crtime, big);
  to.ino = core.ino.get();
  to.uuid = core.uuid;
  return to;
}

}  // namespace

InodeCore disk_core_of_logged(const LoggedInodeCore& core) { return reordered_core<InodeCore>(core); }
LoggedInodeCore logged_core_of_disk(const InodeCore& core) { return reordered_core<LoggedInodeCore>(core); }

}  // namespace xdax
