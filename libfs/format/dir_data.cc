#include "libfs/format/dir_data.h"

#include <algorithm>
#include <array>

#include "libfs/base/crc32c.h"
#include "libfs/format/da_hash.h"

namespace xdax {
namespace {

constexpr std::uint32_t kHeaderBytes = sizeof(DirDataHeader);

std::uint32_t most_index_entries(std::size_t block_bytes) {
  return static_cast<std::uint32_t>((block_bytes - kHeaderBytes - sizeof(DirBlockTail)) / sizeof(DirLeafEntry));
}

const DirBlockTail& tail_of(ByteSpan block) { return view<DirBlockTail>(block, block.size() - sizeof(DirBlockTail)); }

struct FreeRegion {
  std::uint32_t offset = 0;
  std::uint32_t length = 0;
};

// One pass over the items, then the table of free regions and the index.
class Check {
 public:
  Check(ByteSpan block, const Geometry& geometry, DirDataForm form, const DaExpectation& expected, Flaws& flaws)
      : block_(block),
        header_(view<DirDataHeader>(block)),
        geometry_(geometry),
        form_(form),
        expected_(expected),
        flaws_(flaws) {}

  // False when the items could not be followed to the end.
  bool items() {
    DirDataCursor cursor(block_, form_, geometry_.features.ftype());
    bool after_unused = false;
    while (cursor.next()) {
      const DirDataItem& item = cursor.item();
      if (item.tag != item.at_bytes) {
        flaw(FlawKind::kSelfAddress, "dir.tag", item.at_bytes, item.tag, item.at_bytes, "its own offset");
      }
      if (item.is_entry) {
        entry(item.entry);
      } else {
        if (after_unused) {
          flaw(FlawKind::kOrder, "dir.unused", item.at_bytes, item.length_bytes, 0, "not next to another");
        }
        remember(item.at_bytes, item.length_bytes);
      }
      after_unused = !item.is_entry;
    }
    if (cursor.broken()) {
      flaw(FlawKind::kRange, "dir.length", cursor.at_bytes(), cursor.at_bytes(), block_.size(),
           "entries and unused regions that cover the block");
    }
    return !cursor.broken();
  }

  void best_free() {
    for (std::size_t i = 0; i < DirDataHeader::kBestCount; ++i) {
      const auto at = static_cast<std::uint32_t>(offsetof(DirDataHeader, best_free) + i * sizeof(DirBestFree));
      const DirBestFree& named = header_.best_free[i];
      if (named.length != largest_[i].length) {
        flaw(FlawKind::kConsistency, "dir.best_free.length", at, named.length, largest_[i].length,
             "the three largest unused regions, largest first");
      } else if (named.length == 0 ? named.offset != 0 : !names_unused_region(i)) {
        flaw(FlawKind::kConsistency, "dir.best_free.offset", at, named.offset, largest_[i].offset,
             "an unused region of its length, zero for none");
      }
    }
  }

  void index() {
    const DirBlockTail& tail = tail_of(block_);
    const auto index = dir_block_index(block_);
    const auto base = static_cast<std::uint32_t>(block_.size() - sizeof(DirBlockTail) - index.size_bytes());
    std::uint32_t stale = 0;
    std::uint32_t previous_hash = 0;
    for (std::size_t i = 0; i < index.size(); ++i) {
      const auto at = static_cast<std::uint32_t>(base + i * sizeof(DirLeafEntry));
      if (index[i].hashval < previous_hash) {
        flaw(FlawKind::kOrder, "dir_leaf.hashval", at, index[i].hashval, previous_hash, "not below the hash before it");
      }
      previous_hash = index[i].hashval;
      if (index[i].stale()) ++stale;
    }
    if (tail.stale != stale) {
      flaw(FlawKind::kCount, "dir_tail.stale", block_.size() - sizeof(be32), tail.stale, stale, "the stale entries");
    }
    if (tail.count != std::uint64_t{entries_} + stale) {
      flaw(FlawKind::kCount, "dir_tail.count", block_.size() - sizeof(DirBlockTail), tail.count, entries_ + stale,
           "one for each entry, and the stale ones");
    }
    every_entry_indexed(index);
  }

 private:
  void entry(const DirEntry& entry) {
    ++entries_;
    if (!valid_dir_name(entry.name)) {
      flaw(FlawKind::kRange, "dir.name", entry.at_bytes, entry.name.size(), limits::kMaxNameBytes,
           "1 to 255 bytes without '/' or zero");
    }
    if (!geometry_.valid_inode(entry.ino)) {
      flaw(FlawKind::kPointer, "dir.inumber", entry.at_bytes, entry.ino.value(), 0, "an inode of the filesystem");
    }
    if (static_cast<std::uint8_t>(entry.file_type) > kMaxDirFileType) {
      flaw(FlawKind::kRange, "dir.ftype", entry.at_bytes, static_cast<std::uint64_t>(entry.file_type), kMaxDirFileType,
           "a known type of file");
    }
    dot_name(entry);
  }

  // "." and ".." are the first two entries of the directory, and nowhere else.
  void dot_name(const DirEntry& entry) {
    const bool first_block = expected_.file_block == FileBlock(0);
    const std::uint32_t second = kHeaderBytes + dir_data_entry_bytes(1, geometry_.features.ftype());
    const bool dot_here = first_block && entry.at_bytes == kHeaderBytes;
    const bool dot_dot_here = first_block && entry.at_bytes == second;
    if ((entry.name == ".") != dot_here || (entry.name == "..") != dot_dot_here) {
      flaw(FlawKind::kConsistency, "dir.name", entry.at_bytes, entry.name.size(), dot_here ? 1 : 2,
           "the dot names first in the directory and nowhere else");
    } else if (dot_here && entry.ino != expected_.owner) {
      flaw(FlawKind::kConsistency, "dir.inumber", entry.at_bytes, entry.ino.value(), expected_.owner.value(),
           "the directory itself behind its dot");
    }
  }

  // Keeps the three largest, largest first; of equal ones the first seen.
  void remember(std::uint32_t offset, std::uint32_t length) {
    FreeRegion region{.offset = offset, .length = length};
    for (FreeRegion& kept : largest_) {
      if (region.length > kept.length) std::swap(region, kept);
    }
  }

  // Equal lengths may stand in any order, so the region is looked at itself. Its length is one of the largest.
  [[nodiscard]] bool names_unused_region(std::size_t place) const {
    const DirBestFree& named = header_.best_free[place];
    for (std::size_t i = 0; i < place; ++i) {
      if (header_.best_free[i].offset == named.offset) return false;
    }
    DirDataCursor cursor(block_, form_, geometry_.features.ftype());
    while (cursor.next()) {
      const DirDataItem& item = cursor.item();
      if (item.at_bytes == named.offset) return !item.is_entry && item.length_bytes == named.length;
    }
    return false;
  }

  // Hashes are in order, so an entry's index entry is found by bisection, then along equal hashes.
  void every_entry_indexed(std::span<const DirLeafEntry> index) {
    if (flaws_.has(FlawKind::kOrder)) return;
    DirDataCursor cursor(block_, form_, geometry_.features.ftype());
    while (cursor.next()) {
      const DirDataItem& item = cursor.item();
      if (!item.is_entry) continue;
      const std::uint32_t hash = dir_name_hash(item.entry.name, geometry_.features);
      const std::uint32_t address = item.at_bytes / kDirAlignBytes;
      const auto first =
          std::lower_bound(index.begin(), index.end(), hash,
                           [](const DirLeafEntry& left, std::uint32_t right) { return left.hashval < right; });
      bool found = false;
      for (auto it = first; it != index.end() && it->hashval == hash && !found; ++it) found = it->address == address;
      if (!found) {
        flaw(FlawKind::kConsistency, "dir_leaf.address", item.at_bytes, hash, address,
             "an index entry with the name's hash");
      }
    }
  }

  void flaw(FlawKind kind, const char* field, std::size_t offset_bytes, std::uint64_t found, std::uint64_t expected,
            const char* rule) {
    flaws_.add({kind, field, static_cast<std::uint32_t>(offset_bytes), found, expected, rule});
  }

  ByteSpan block_;
  const DirDataHeader& header_;
  const Geometry& geometry_;
  DirDataForm form_;
  const DaExpectation& expected_;
  Flaws& flaws_;
  std::array<FreeRegion, DirDataHeader::kBestCount> largest_{};
  std::uint32_t entries_ = 0;
};

}  // namespace

bool check_dir_info(Flaws& flaws, ByteSpan block, const Geometry& geometry, const DaExpectation& expected,
                    std::uint32_t magic) {
  XDAX_ASSERT(block.size() == geometry.dir_block_bytes());
  const auto& info = view<DirBlockInfo>(block);
  if (info.magic != magic) {
    flaws.add({FlawKind::kMagic, "dir.magic", 0, info.magic, magic, "the magic of its kind"});
    return false;
  }
  if (const std::uint32_t computed = structure_checksum(block, offsetof(DirBlockInfo, crc)); computed != info.crc) {
    flaws.add(
        {FlawKind::kChecksum, "dir.crc", offsetof(DirBlockInfo, crc), info.crc, computed, "the checksum of the block"});
  }
  if (info.uuid != geometry.uuid) {
    flaws.add({FlawKind::kUuid, "dir.uuid", offsetof(DirBlockInfo, uuid), 0, 0, "the uuid of this filesystem"});
  }
  if (const DiskAddress address = geometry.disk_address(expected.block); info.blkno != address.value()) {
    flaws.add({FlawKind::kSelfAddress, "dir.blkno", offsetof(DirBlockInfo, blkno), info.blkno, address.value(),
               "its own disk address"});
  }
  if (info.owner != expected.owner.value()) {
    flaws.add({FlawKind::kOwner, "dir.owner", offsetof(DirBlockInfo, owner), info.owner, expected.owner.value(),
               "its directory"});
  }
  return true;
}

DirDataCursor::DirDataCursor(ByteSpan block, DirDataForm form, bool file_type)
    : block_(block), file_type_(file_type), end_(static_cast<std::uint32_t>(block.size())) {
  if (form == DirDataForm::kBlock) {
    end_ -= static_cast<std::uint32_t>(sizeof(DirBlockTail) + dir_block_index(block).size_bytes());
  }
}

// The item is filled in where it stays: to hand it over by value took longer than to find it.
bool DirDataCursor::next() {
  if (at_ == end_ || broken_) return false;
  broken_ = true;
  const std::uint32_t room = end_ - at_;
  // The smallest item is one unit, and everything is a multiple of it.
  if (room < kDirAlignBytes) return false;
  const auto& unused = view<DirDataUnused>(block_, at_);
  item_.is_entry = unused.freetag != DirDataUnused::kFreeTag;
  if (item_.is_entry && room < sizeof(DirDataEntry)) return false;
  item_.at_bytes = at_;
  item_.length_bytes = item_.is_entry ? dir_data_entry_bytes(view<DirDataEntry>(block_, at_).namelen, file_type_)
                                      : std::uint32_t{unused.length};
  if (item_.length_bytes == 0 || item_.length_bytes % kDirAlignBytes != 0 || item_.length_bytes > room) return false;
  if (item_.is_entry) {
    const auto& stored = view<DirDataEntry>(block_, at_);
    const std::size_t name = at_ + sizeof(DirDataEntry);
    item_.entry.name = name_at(block_, name, stored.namelen);
    item_.entry.ino = InodeNumber(stored.inumber);
    item_.entry.at_bytes = at_;
    if (file_type_) item_.entry.file_type = static_cast<DirFileType>(block_[name + stored.namelen]);
  }
  item_.tag = view<be16>(block_, at_ + item_.length_bytes - sizeof(be16));
  at_ += item_.length_bytes;
  broken_ = false;
  return true;
}

std::span<const DirLeafEntry> dir_block_index(ByteSpan block) {
  const std::uint32_t count = std::min<std::uint32_t>(tail_of(block).count, most_index_entries(block.size()));
  const std::size_t base = block.size() - sizeof(DirBlockTail) - count * sizeof(DirLeafEntry);
  return view_array<DirLeafEntry>(block, base, count);
}

Flaws verify_dir_data(ByteSpan block, const Geometry& geometry, DirDataForm form, const DaExpectation& expected) {
  Flaws flaws;
  const bool with_index = form == DirDataForm::kBlock;
  const std::uint32_t magic = with_index ? DirDataHeader::kBlockMagic : DirDataHeader::kDataMagic;
  if (!check_dir_info(flaws, block, geometry, expected, magic)) return flaws;
  if (with_index && tail_of(block).count > most_index_entries(block.size())) {
    flaws.add({FlawKind::kCount, "dir_tail.count", static_cast<std::uint32_t>(block.size() - sizeof(DirBlockTail)),
               tail_of(block).count, most_index_entries(block.size()), "at most what fits the block"});
    return flaws;
  }
  Check check(block, geometry, form, expected, flaws);
  if (!check.items()) return flaws;
  check.best_free();
  if (with_index) check.index();
  return flaws;
}

}  // namespace xdax
