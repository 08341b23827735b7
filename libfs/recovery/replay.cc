#include "libfs/recovery/replay.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "libfs/base/crc32c.h"
#include "libfs/base/error.h"
#include "libfs/format/block_stamp.h"
#include "libfs/format/btree_block.h"
#include "libfs/format/dquot.h"
#include "libfs/format/inode.h"
#include "libfs/format/inode_fork.h"
#include "libfs/journal/log_changes.h"
#include "libfs/recovery/logged_buffer.h"

namespace xdax {
namespace {

constexpr std::uint64_t kNoLsn = ~0ull;

// When an item is applied inside its transaction.
enum class Turn : std::uint8_t { kBuffers, kInodes, kUnlinkedPointers, kGivenUp };

Turn turn_of(const LogItem& item) {
  if (item.type == LogItemType::kIcreate) return Turn::kBuffers;
  if (item.type != LogItemType::kBuffer) return Turn::kInodes;
  const auto& format = view<BufLogFormat>(item.regions[0]);
  if (format.cancelled()) return Turn::kGivenUp;
  return (format.flags & buf_log_flags::kInode) != 0 ? Turn::kUnlinkedPointers : Turn::kBuffers;
}

// Which intent a done item ends.
std::optional<LogItemType> intent_of(LogItemType done) {
  switch (done) {
    case LogItemType::kEfd:
      return LogItemType::kEfi;
    case LogItemType::kRud:
      return LogItemType::kRui;
    case LogItemType::kCud:
      return LogItemType::kCui;
    case LogItemType::kBud:
      return LogItemType::kBui;
    case LogItemType::kAttrd:
      return LogItemType::kAttri;
    case LogItemType::kXmd:
      return LogItemType::kXmi;
    default:
      return std::nullopt;
  }
}

// A tree root is logged as the block it is in memory, with a whole header, and lies in the inode with a short one.
bool store_root(ByteSpan logged, MutableByteSpan fork) {
  if (logged.size() < sizeof(LongBtreeHeader)) return false;
  const auto& header = view<LongBtreeHeader>(logged);
  const BmapRootLayout layout(static_cast<std::uint32_t>(fork.size()));
  const std::size_t logged_room = (logged.size() - sizeof(LongBtreeHeader)) / (2 * sizeof(be64));
  const std::uint32_t count = header.numrecs;
  if (header.level == 0 || count > layout.max_entries() || count > logged_room) return false;
  auto& root = mutable_view<BmapRootHeader>(fork);
  root.level = header.level.get();
  root.numrecs = header.numrecs.get();
  const std::size_t bytes = std::size_t{count} * sizeof(be64);
  std::memcpy(fork.data() + layout.key_offset(0), logged.data() + sizeof(LongBtreeHeader), bytes);
  std::memcpy(fork.data() + layout.pointer_offset(0),
              logged.data() + sizeof(LongBtreeHeader) + logged_room * sizeof(be64), bytes);
  return true;
}

}  // namespace

struct Replay::Buffer {
  std::uint64_t byte = 0;
  std::vector<std::byte> bytes;
};

Replay::Buffer Replay::read(Place place) const {
  Buffer buffer{.byte = place.first << kBasicBlockLog, .bytes = {}};
  buffer.bytes.resize(std::size_t{place.second} << kBasicBlockLog);
  device_.read(buffer.byte, buffer.bytes);
  return buffer;
}

void Replay::write(const Buffer& buffer) { device_.write(buffer.byte, buffer.bytes); }

void Replay::corrupt(const LogItem& item, const std::string& rule) const {
  throw CorruptionError(Errc::kBadStructure, fmt::format("{}: the log cannot be replayed: {} item: {}", device_.name(),
                                                         to_string(item.type), rule));
}

void Replay::require(const LogItem& item) const {
  const Flaws flaws = verify_log_item(item.regions[0], item.type, geometry_);
  if (!flaws.empty()) corrupt(item, fmt::format("{} ought to be {}", flaws[0].field, flaws[0].rule));
}

void Replay::look_ahead(const LogTransaction& transaction) {
  for (const LogItem& item : transaction.items) {
    if (item.type != LogItemType::kBuffer) continue;
    require(item);
    const auto& format = view<BufLogFormat>(item.regions[0]);
    if (format.cancelled()) ++given_up_[{format.blkno, format.len}];
  }
}

void Replay::apply(const LogTransaction& transaction) {
  ++counts_.transactions;
  for (const LogItem& item : transaction.items) require(item);
  for (const Turn turn : {Turn::kBuffers, Turn::kInodes, Turn::kUnlinkedPointers, Turn::kGivenUp}) {
    for (const LogItem& item : transaction.items) {
      if (turn_of(item) != turn) continue;
      switch (item.type) {
        case LogItemType::kBuffer:
          turn == Turn::kGivenUp ? give_up(item) : buffer(item, transaction.lsn);
          break;
        case LogItemType::kInode:
          inode(item, transaction.lsn);
          break;
        case LogItemType::kDquot:
          dquot(item, transaction.lsn);
          break;
        case LogItemType::kIcreate:
          icreate(item);
          break;
        case LogItemType::kEfi:
        case LogItemType::kRui:
        case LogItemType::kCui:
        case LogItemType::kBui:
        case LogItemType::kAttri:
        case LogItemType::kXmi:
          intent(item);
          break;
        case LogItemType::kEfd:
        case LogItemType::kRud:
        case LogItemType::kCud:
        case LogItemType::kBud:
        case LogItemType::kAttrd:
        case LogItemType::kXmd:
          done(item);
          break;
        default:
          corrupt(item, "of a kind this version does not replay; mount the filesystem instead");
      }
    }
  }
}

// Whether what is on disk, stamped `there`, is as new as the change, and counts what it says.
bool Replay::as_new(std::uint64_t there, Lsn lsn, bool whole, bool when_equal) {
  if (!whole) {
    ++counts_.torn;
    return false;
  }
  const bool newer = there != 0 && there != kNoLsn && (when_equal ? there >= lsn.encode() : there > lsn.encode());
  if (newer) ++counts_.newer;
  return newer;
}

void Replay::give_up(const LogItem& item) {
  const auto& format = view<BufLogFormat>(item.regions[0]);
  const auto found = given_up_.find({format.blkno, format.len});
  if (found == given_up_.end()) return;
  if (--found->second == 0) given_up_.erase(found);
}

void Replay::buffer(const LogItem& item, Lsn lsn) {
  const auto& format = view<BufLogFormat>(item.regions[0]);
  const Place place{format.blkno, format.len};
  if (is_given_up(place)) {
    ++counts_.given_up;
    return;
  }
  Buffer buffer = read(place);
  constexpr unsigned kDquots = buf_log_flags::kUserDquot | buf_log_flags::kProjectDquot | buf_log_flags::kGroupDquot;
  if ((format.flags & buf_log_flags::kInode) != 0) {
    unlinked_pointers(item, buffer);
  } else if ((format.flags & kDquots) != 0) {
    dquot_buffer(item, buffer, lsn);
  } else {
    const auto old = stamp_of(buffer.bytes);
    if (old && old->uuid(buffer.bytes) == geometry_.uuid &&
        as_new(old->lsn(buffer.bytes), lsn, old->whole(buffer.bytes), true)) {
      return;
    }
    copy_regions(item, buffer);
    if (const auto stamp = stamp_of(buffer.bytes)) stamp->set(buffer.bytes, lsn.encode());
  }
  write(buffer);
  ++counts_.buffers;
}

void Replay::copy_regions(const LogItem& item, Buffer& buffer) const {
  if (!copy_logged_runs(item, buffer.bytes)) corrupt(item, "its regions are not those its map says");
}

// Of a cluster only the unlinked pointers are meant: the inodes themselves have items of their own.
void Replay::unlinked_pointers(const LogItem& item, Buffer& buffer) const {
  Buffer logged = buffer;
  copy_regions(item, logged);
  for (std::size_t at = 0; at + geometry_.inode_bytes <= buffer.bytes.size(); at += geometry_.inode_bytes) {
    const MutableByteSpan inode = MutableByteSpan(buffer.bytes).subspan(at, geometry_.inode_bytes);
    auto& core = mutable_view<InodeCore>(inode);
    const std::uint32_t pointer = view<InodeCore>(logged.bytes, at).next_unlinked;
    if (pointer == core.next_unlinked) continue;
    if (core.magic != InodeCore::kMagic || pointer == 0) corrupt(item, "an unlinked pointer of what is no inode");
    core.next_unlinked = pointer;
    seal(inode, offsetof(InodeCore, crc));
  }
}

void Replay::dquot_buffer(const LogItem& item, Buffer& buffer, Lsn lsn) const {
  const Buffer before = buffer;
  copy_regions(item, buffer);
  for (std::size_t at = 0; at + sizeof(Dquot) <= buffer.bytes.size(); at += sizeof(Dquot)) {
    const MutableByteSpan record = MutableByteSpan(buffer.bytes).subspan(at, sizeof(Dquot));
    if (std::equal(record.begin(), record.end(), before.bytes.begin() + static_cast<std::ptrdiff_t>(at))) continue;
    mutable_view<Dquot>(record).lsn = lsn.encode();
    seal(record, offsetof(Dquot, crc));
  }
}

void Replay::inode(const LogItem& item, Lsn lsn) {
  const auto& format = view<InodeLogFormat>(item.regions[0]);
  inodes_.insert(format.ino);
  const Place place{format.blkno, format.len};
  if (is_given_up(place)) {
    ++counts_.given_up;
    return;
  }
  if (item.regions.size() < 2) corrupt(item, "it has no core");
  if (const Flaws flaws = verify_logged_inode_core(item.regions[1], geometry_); !flaws.empty()) {
    corrupt(item, fmt::format("inode {}: {} ought to be {}", format.ino.get(), flaws[0].field, flaws[0].rule));
  }
  if (view<LoggedInodeCore>(item.regions[1]).ino != format.ino) corrupt(item, "its core is another inode's");
  Buffer buffer = read(place);
  const MutableByteSpan bytes = MutableByteSpan(buffer.bytes).subspan(format.boffset, geometry_.inode_bytes);
  auto& core = mutable_view<InodeCore>(bytes);
  if (core.magic != InodeCore::kMagic) corrupt(item, fmt::format("there is no inode {} on disk", format.ino.get()));
  const std::uint32_t fields = format.fields;
  // Though the inode may be as new, the blocks of its map need not be.
  if ((fields & inode_log_fields::kDataOwner) != 0) owner_changes_.emplace(format.ino, Fork::kData);
  if ((fields & inode_log_fields::kAttrOwner) != 0) owner_changes_.emplace(format.ino, Fork::kAttr);
  const bool whole = structure_checksum(bytes, offsetof(InodeCore, crc)) == core.crc;
  if (as_new(core.lsn, lsn, whole, false)) return;
  const be32 next_unlinked = core.next_unlinked;  // kept by the clusters' own items
  core = disk_core_of_logged(view<LoggedInodeCore>(item.regions[1]));
  core.next_unlinked = next_unlinked;
  core.lsn = lsn.encode();
  std::size_t region = 2;
  const auto store = [&](Fork fork, std::uint32_t any, std::uint32_t root) {
    if ((fields & any) == 0) return;
    const ForkArea area = fork_area(core, geometry_.inode_bytes, fork);
    const MutableByteSpan target = bytes.subspan(area.offset_bytes, area.size_bytes);
    if (region >= item.regions.size()) corrupt(item, "a fork is missing");
    const ByteSpan logged = item.regions[region++];
    const bool stored = (fields & root) != 0 ? store_root(logged, target) : logged.size() <= target.size();
    if (!stored) corrupt(item, fmt::format("a fork of inode {} does not fit", format.ino.get()));
    if ((fields & root) == 0) std::copy(logged.begin(), logged.end(), target.begin());
  };
  if ((fields & inode_log_fields::kDev) != 0) mutable_view<be32>(bytes, sizeof(InodeCore)) = format.rdev.get();
  store(Fork::kData, inode_log_fields::kAnyData, inode_log_fields::kDataRoot);
  store(Fork::kAttr, inode_log_fields::kAnyAttr, inode_log_fields::kAttrRoot);
  seal(bytes, offsetof(InodeCore, crc));
  write(buffer);
  ++counts_.inodes;
}

void Replay::dquot(const LogItem& item, Lsn lsn) {
  const auto& format = view<DquotLogFormat>(item.regions[0]);
  const Place place{format.blkno, format.len};
  if (is_given_up(place)) {
    ++counts_.given_up;
    return;
  }
  if (item.regions.size() < 2 || item.regions[1].size() > sizeof(Dquot)) corrupt(item, "its record is missing");
  Buffer buffer = read(place);
  const MutableByteSpan record = MutableByteSpan(buffer.bytes).subspan(format.boffset, sizeof(Dquot));
  auto& dquot = mutable_view<Dquot>(record);
  const bool whole = structure_checksum(record, offsetof(Dquot, crc)) == dquot.crc;
  if (as_new(dquot.lsn, lsn, whole, true)) return;
  std::copy(item.regions[1].begin(), item.regions[1].end(), record.begin());
  dquot.lsn = lsn.encode();
  dquot.uuid = geometry_.uuid;
  seal(record, offsetof(Dquot, crc));
  write(buffer);
  ++counts_.dquots;
}

void Replay::icreate(const LogItem& item) {
  const auto& format = view<IcreateLog>(item.regions[0]);
  const AgNumber ag{format.ag};
  const AgBlock first{format.agbno};
  // Freed again later in this log: buffers in it are given up, whatever their size, and the blocks may hold data by
  // now.
  const std::uint64_t begin = geometry_.byte_of(ag, first) >> kBasicBlockLog;
  const std::uint64_t end = begin + (std::uint64_t{format.length} << (geometry_.block_log - kBasicBlockLog));
  const auto inside = given_up_.lower_bound({begin, 0});
  if (inside != given_up_.end() && inside->first.first < end) {
    ++counts_.given_up;
    return;
  }
  Buffer buffer{.byte = geometry_.byte_of(ag, first), .bytes = {}};
  buffer.bytes.resize(std::size_t{format.length} << geometry_.block_log);
  fill_new_inodes(geometry_,
                  {.ag = ag, .first = geometry_.first_inode_of(first), .count = format.count, .generation = format.gen},
                  buffer.bytes);
  write(buffer);
  ++counts_.chunks;
}

void Replay::intent(const LogItem& item) {
  // All have their id in the same place but for attributes and exchanges, whose structures are longer.
  static_assert(offsetof(ExtentsLogFormat, id) == 8 && offsetof(AttriLogFormat, id) == 8 &&
                offsetof(XmiLogFormat, id) == 8 && offsetof(DoneLogFormat, id) == 8);
  const std::uint64_t id = view<le64>(item.regions[0], offsetof(DoneLogFormat, id));
  intents_.insert_or_assign({item.type, id}, std::pair(intents_seen_++, item));
}

void Replay::done(const LogItem& item) {
  const std::uint64_t id = view<le64>(item.regions[0], offsetof(DoneLogFormat, id));
  intents_.erase({*intent_of(item.type), id});
}

std::vector<LogItem> Replay::unfinished() const {
  std::map<std::uint64_t, const LogItem*> ordered;
  for (const auto& [key, value] : intents_) ordered.emplace(value.first, &value.second);
  std::vector<LogItem> all;
  for (const auto& [order, item] : ordered) all.push_back(*item);
  return all;
}

}  // namespace xdax
