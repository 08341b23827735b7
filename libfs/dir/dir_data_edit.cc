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

std::vector<DirDataEdit::Region> DirDataEdit::regions() const {
  std::vector<Region> all;
  DirDataCursor cursor(block_, form_, file_type_);
  while (cursor.next()) {
    const DirDataItem& item = cursor.item();
    all.push_back({.at = item.at_bytes, .length = item.length_bytes, .used = item.is_entry});
  }
  return all;
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
  for (Region region : regions()) {
    if (region.used) continue;
    for (Region& kept : best) {
      if (region.length > kept.length) std::swap(region, kept);
    }
  }
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
  for (const Region& region : regions()) bytes += region.used ? region.length : 0;
  return bytes;
}

std::uint32_t DirDataEdit::entries() const {
  std::uint32_t count = 0;
  for (const Region& region : regions()) count += region.used ? 1 : 0;
  return count;
}

std::optional<std::uint32_t> DirDataEdit::add(const NewDirEntry& entry) {
  const std::uint32_t needed = dir_data_entry_bytes(static_cast<std::uint32_t>(entry.name.size()), file_type_);
  for (const Region& region : regions()) {
    if (region.used || region.length < needed) continue;
    add_at(region.at, entry);
    return region.at;
  }
  return std::nullopt;
}

void DirDataEdit::add_at(std::uint32_t at_bytes, const NewDirEntry& entry) {
  const std::uint32_t length = dir_data_entry_bytes(static_cast<std::uint32_t>(entry.name.size()), file_type_);
  for (const Region& region : regions()) {
    if (region.at > at_bytes || region.at + region.length <= at_bytes) continue;
    XDAX_ASSERT(!region.used && at_bytes + length <= region.at + region.length);
    set_unused(region.at, at_bytes - region.at);
    set_unused(at_bytes + length, region.at + region.length - at_bytes - length);
    break;
  }
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
  const std::vector<Region> all = regions();
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (all[i].at != at_bytes) continue;
    XDAX_ASSERT(all[i].used);
    std::uint32_t at = at_bytes;
    std::uint32_t end = at_bytes + all[i].length;
    if (i > 0 && !all[i - 1].used) at = all[i - 1].at;
    if (i + 1 < all.size() && !all[i + 1].used) end = all[i + 1].at + all[i + 1].length;
    set_unused(at, end - at);
    store_best();
    return;
  }
  assertion_failed("an entry is there", __FILE__, __LINE__);
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
  const std::vector<Region> all = regions();
  return !all.empty() && !all.back().used && all.back().at <= after;
}

// Moves the border between entries and index; what is between is or was unused.
void DirDataEdit::set_data_end(std::uint32_t before, std::uint32_t after) {
  const std::vector<Region> all = regions();
  const bool last_unused = !all.empty() && !all.back().used;
  const std::uint32_t from = last_unused ? all.back().at : before;
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
