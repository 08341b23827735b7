#include "libfs/dir/dir_data_edit.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace xdax {
namespace {

constexpr std::uint32_t kHeader = sizeof(DirDataHeader);

std::uint32_t index_bytes(std::size_t entries) {
  return static_cast<std::uint32_t>(entries * sizeof(DirLeafEntry) + sizeof(DirBlockTail));
}

}  // namespace

std::uint32_t DirDataEdit::data_end() const {
  const auto size = static_cast<std::uint32_t>(block_.size());
  if (form_ == DirDataForm::kData) return size;
  return size - index_bytes(dir_block_index(block_).size());
}

// Calls use(region, the one before it) for each, in order, until one says false. They must not change before that.
template <class Use>
void DirDataEdit::for_regions(const Use& use) const {
  DirDataCursor cursor(block_, form_, file_type_);
  Region before{.used = true};
  while (cursor.next()) {
    const DirDataItem& item = cursor.item();
    const Region region{.at = item.at_bytes, .length = item.length_bytes, .used = item.is_entry};
    if (!use(region, before)) return;
    before = region;
  }
}

DirDataEdit::Region DirDataEdit::last_region() const {
  Region last{.used = true};
  for_regions([&](const Region& region, const Region& /*before*/) {
    last = region;
    return true;
  });
  return last;
}

void DirDataEdit::set_unused(std::uint32_t at, std::uint32_t length) {
  if (length == 0) return;
  auto& unused = mutable_view<DirDataUnused>(block_, at);
  unused.freetag = DirDataUnused::kFreeTag;
  unused.length = static_cast<std::uint16_t>(length);
  mutable_view<be16>(block_, at + length - sizeof(be16)) = static_cast<std::uint16_t>(at);
}

// The three largest unused regions, largest first; of equal ones the first.
void DirDataEdit::store_best() {
  std::array<Region, DirDataHeader::kBestCount> best{};
  for_regions([&](Region region, const Region& /*before*/) {
    if (region.used) return true;
    for (Region& kept : best) {
      if (region.length > kept.length) std::swap(region, kept);
    }
    return true;
  });
  auto& header = mutable_view<DirDataHeader>(block_);
  for (std::size_t i = 0; i < best.size(); ++i) {
    header.best_free[i].offset = static_cast<std::uint16_t>(best[i].at);
    header.best_free[i].length = static_cast<std::uint16_t>(best[i].length);
  }
}

void DirDataEdit::clear() {
  if (form_ == DirDataForm::kBlock) mutable_view<DirBlockTail>(block_, block_.size() - sizeof(DirBlockTail)) = {};
  set_unused(kHeader, data_end() - kHeader);
  store_best();
}

std::uint32_t DirDataEdit::largest() const { return view<DirDataHeader>(block_).best_free[0].length; }

std::uint32_t DirDataEdit::used_bytes() const {
  std::uint32_t bytes = 0;
  for_regions([&](const Region& region, const Region& /*before*/) {
    bytes += region.used ? region.length : 0;
    return true;
  });
  return bytes;
}

std::uint32_t DirDataEdit::entries() const {
  std::uint32_t count = 0;
  for_regions([&](const Region& region, const Region& /*before*/) {
    count += region.used ? 1 : 0;
    return true;
  });
  return count;
}

std::optional<std::uint32_t> DirDataEdit::add(const NewDirEntry& entry) {
  const std::uint32_t needed = dir_data_entry_bytes(static_cast<std::uint32_t>(entry.name.size()), file_type_);
  std::optional<Region> room;
  for_regions([&](const Region& region, const Region& /*before*/) {
    if (!region.used && region.length >= needed) room = region;
    return !room;
  });
  if (!room) return std::nullopt;
  put(*room, room->at, entry);
  return room->at;
}

void DirDataEdit::add_at(std::uint32_t at_bytes, const NewDirEntry& entry) {
  std::optional<Region> room;
  for_regions([&](const Region& region, const Region& /*before*/) {
    if (region.at <= at_bytes && at_bytes < region.at + region.length) room = region;
    return !room;
  });
  XDAX_ASSERT(room);
  put(*room, at_bytes, entry);
}

void DirDataEdit::put(const Region& room, std::uint32_t at_bytes, const NewDirEntry& entry) {
  const std::uint32_t length = dir_data_entry_bytes(static_cast<std::uint32_t>(entry.name.size()), file_type_);
  XDAX_ASSERT(!room.used && at_bytes + length <= room.at + room.length);
  set_unused(room.at, at_bytes - room.at);
  set_unused(at_bytes + length, room.at + room.length - at_bytes - length);
  const MutableByteSpan bytes = block_.subspan(at_bytes, length);
  std::fill(bytes.begin(), bytes.end(), std::byte{0});
  auto& stored = mutable_view<DirDataEntry>(bytes);
  stored.inumber = entry.ino.value();
  stored.namelen = static_cast<std::uint8_t>(entry.name.size());
  std::memcpy(bytes.data() + sizeof(DirDataEntry), entry.name.data(), entry.name.size());
  if (file_type_) bytes[sizeof(DirDataEntry) + entry.name.size()] = static_cast<std::byte>(entry.type);
  mutable_view<be16>(bytes, length - sizeof(be16)) = static_cast<std::uint16_t>(at_bytes);
  store_best();
}

void DirDataEdit::remove(std::uint32_t at_bytes) {
  std::uint32_t at = at_bytes;
  std::uint32_t end = 0;
  for_regions([&](const Region& region, const Region& before) {
    if (end == 0) {
      if (region.at != at_bytes) return true;
      XDAX_ASSERT(region.used);
      if (!before.used) at = before.at;
      end = region.at + region.length;
      return true;
    }
    if (!region.used) end = region.at + region.length;
    return false;
  });
  if (end == 0) assertion_failed("an entry is there", __FILE__, __LINE__);
  set_unused(at, end - at);
  store_best();
}

void DirDataEdit::replace(std::uint32_t at_bytes, InodeNumber ino, DirFileType type) {
  auto& stored = mutable_view<DirDataEntry>(block_, at_bytes);
  stored.inumber = ino.value();
  if (file_type_) block_[at_bytes + sizeof(DirDataEntry) + stored.namelen] = static_cast<std::byte>(type);
}

std::vector<DirLeafEntry> DirDataEdit::index() const {
  std::vector<DirLeafEntry> live;
  for (const DirLeafEntry& entry : dir_block_index(block_)) {
    if (!entry.stale()) live.push_back(entry);
  }
  return live;
}

bool DirDataEdit::can_index(std::size_t entries) const {
  const std::uint32_t before = data_end();
  const auto size = static_cast<std::uint32_t>(block_.size());
  if (index_bytes(entries) > size - kHeader) return false;
  const std::uint32_t after = size - index_bytes(entries);
  if (after >= before) return true;
  const Region last = last_region();
  return !last.used && last.at <= after;
}

// Moves the border between entries and index; what is between is or was unused.
void DirDataEdit::set_data_end(std::uint32_t before, std::uint32_t after) {
  const Region last = last_region();
  const std::uint32_t from = last.used ? before : last.at;
  if (after > from) set_unused(from, after - from);
}

void DirDataEdit::store_index(const std::vector<DirLeafEntry>& entries) {
  const std::size_t at = block_.size() - index_bytes(entries.size());
  const auto stored = mutable_view_array<DirLeafEntry>(block_, at, entries.size());
  std::copy(entries.begin(), entries.end(), stored.begin());
  auto& tail = mutable_view<DirBlockTail>(block_, block_.size() - sizeof(DirBlockTail));
  tail.count = static_cast<std::uint32_t>(entries.size());
  tail.stale = 0u;
}

void DirDataEdit::set_index(const std::vector<DirLeafEntry>& entries) {
  XDAX_ASSERT(can_index(entries.size()));
  set_data_end(data_end(), static_cast<std::uint32_t>(block_.size()) - index_bytes(entries.size()));
  store_index(entries);
  store_best();
}

void DirDataEdit::drop_index() {
  const std::uint32_t before = data_end();
  set_data_end(before, static_cast<std::uint32_t>(block_.size()));
  form_ = DirDataForm::kData;
  store_best();
}

void DirDataEdit::make_index(const std::vector<DirLeafEntry>& entries) {
  XDAX_ASSERT(can_index(entries.size()));
  set_data_end(static_cast<std::uint32_t>(block_.size()),
               static_cast<std::uint32_t>(block_.size()) - index_bytes(entries.size()));
  store_index(entries);
  form_ = DirDataForm::kBlock;
  store_best();
}

void insert_index(std::vector<DirLeafEntry>& index, std::uint32_t hash, std::uint32_t address) {
  DirLeafEntry entry;
  entry.hashval = hash;
  entry.address = address;
  const auto behind =
      std::upper_bound(index.begin(), index.end(), hash,
                       [](std::uint32_t left, const DirLeafEntry& right) { return left < right.hashval; });
  index.insert(behind, entry);
}

bool erase_index(std::vector<DirLeafEntry>& index, std::uint32_t hash, std::uint32_t address) {
  const auto found = std::find_if(index.begin(), index.end(), [&](const DirLeafEntry& entry) {
    return entry.hashval == hash && entry.address == address;
  });
  if (found == index.end()) return false;
  index.erase(found);
  return true;
}

}  // namespace xdax
