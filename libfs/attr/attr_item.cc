#include "libfs/attr/attr_item.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "libfs/base/assert.h"
#include "libfs/format/attr_leaf.h"
#include "libfs/format/attr_shortform.h"

namespace xdax {
namespace {

constexpr std::uint32_t kMaxShortValueBytes = std::numeric_limits<std::uint8_t>::max();

std::uint32_t name_bytes(const AttrItem& item) { return static_cast<std::uint32_t>(item.entry.name.size()); }

// What an item takes among the names of a leaf.
std::uint32_t stored_bytes(const AttrItem& item) {
  return item.entry.remote ? attr_remote_bytes(name_bytes(item))
                           : attr_local_bytes(name_bytes(item), item.entry.value_bytes);
}

// How many parts it takes when none is larger than `most`, filling one after the other; the end of each.
std::vector<std::size_t> fill_parts(const std::vector<AttrItem>& items, std::uint64_t most) {
  std::vector<std::size_t> ends;
  std::uint64_t filled = 0;
  for (std::size_t i = 0; i < items.size(); ++i) {
    const std::uint32_t bytes = attr_leaf_item_bytes(items[i]);
    if (filled != 0 && filled + bytes > most) {
      ends.push_back(i);
      filled = 0;
    }
    filled += bytes;
  }
  ends.push_back(items.size());
  return ends;
}

void write_name(MutableByteSpan block, std::uint32_t at, const AttrItem& item) {
  std::size_t name = at;
  if (item.entry.remote) {
    auto& stored = mutable_view<AttrLeafRemote>(block, at);
    stored.valueblk = item.entry.remote_block;
    stored.valuelen = item.entry.value_bytes;
    stored.namelen = static_cast<std::uint8_t>(name_bytes(item));
    name += sizeof(AttrLeafRemote);
  } else {
    auto& stored = mutable_view<AttrLeafLocal>(block, at);
    stored.valuelen = static_cast<std::uint16_t>(item.entry.value_bytes);
    stored.namelen = static_cast<std::uint8_t>(name_bytes(item));
    name += sizeof(AttrLeafLocal);
  }
  std::memcpy(block.data() + name, item.entry.name.data(), name_bytes(item));
  const ByteSpan value = item.entry.value;
  if (!item.entry.remote && !value.empty()) {
    std::memcpy(block.data() + name + name_bytes(item), value.data(), value.size());
  }
}

}  // namespace

bool AttrKey::names(const AttrItem& item) const {
  if (item.hash != hash || item.entry.flags != space || item.entry.name != name) return false;
  return !item.entry.parent() ||
         std::equal(parent.begin(), parent.end(), item.entry.value.begin(), item.entry.value.end());
}

AttrItems AttrItems::of_shortform(ByteSpan fork, const Geometry& geometry) {
  AttrItems all;
  all.bytes_.assign(fork.begin(), fork.end());
  AttrShortformCursor cursor(all.bytes_);
  while (const auto entry = cursor.next()) {
    all.items.push_back({.entry = *entry, .hash = attr_hash(*entry, geometry.features)});
  }
  return all;
}

AttrItems AttrItems::of_leaf(ByteSpan block) {
  AttrItems all;
  all.bytes_.assign(block.begin(), block.end());
  const auto entries = attr_leaf_entries(all.bytes_);
  all.items.reserve(entries.size() + 1);
  for (const AttrLeafEntry& stored : entries) {
    auto entry = attr_leaf_name(all.bytes_, stored);
    XDAX_ASSERT(entry.has_value());
    entry->flags = static_cast<std::uint8_t>(entry->flags & ~attr_flags::kLocal);
    all.items.push_back({.entry = *entry, .hash = stored.hashval});
  }
  return all;
}

std::optional<std::size_t> AttrItems::find(const AttrKey& key) const {
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (key.names(items[i])) return i;
  }
  return std::nullopt;
}

std::optional<std::uint32_t> attr_shortform_bytes(const std::vector<AttrItem>& items) {
  std::uint64_t bytes = sizeof(AttrShortformHeader);
  if (items.size() > std::numeric_limits<std::uint8_t>::max()) return std::nullopt;
  for (const AttrItem& item : items) {
    const bool incomplete = (item.entry.flags & attr_flags::kIncomplete) != 0;
    if (item.entry.remote || incomplete || item.entry.value_bytes > kMaxShortValueBytes) return std::nullopt;
    bytes += sizeof(AttrShortformEntry) + name_bytes(item) + item.entry.value_bytes;
  }
  if (bytes > std::numeric_limits<std::uint16_t>::max()) return std::nullopt;
  return static_cast<std::uint32_t>(bytes);
}

void write_attr_shortform(MutableByteSpan fork, const std::vector<AttrItem>& items) {
  std::fill(fork.begin(), fork.end(), std::byte{0});
  std::size_t at = sizeof(AttrShortformHeader);
  for (const AttrItem& item : items) {
    auto& stored = mutable_view<AttrShortformEntry>(fork, at);
    stored.namelen = static_cast<std::uint8_t>(name_bytes(item));
    stored.valuelen = static_cast<std::uint8_t>(item.entry.value_bytes);
    stored.flags = item.entry.flags;
    at += sizeof(AttrShortformEntry);
    XDAX_ASSERT(at + name_bytes(item) + item.entry.value.size() <= fork.size());
    std::memcpy(fork.data() + at, item.entry.name.data(), name_bytes(item));
    at += name_bytes(item);
    std::copy(item.entry.value.begin(), item.entry.value.end(), fork.begin() + static_cast<std::ptrdiff_t>(at));
    at += item.entry.value.size();
  }
  auto& header = mutable_view<AttrShortformHeader>(fork);
  header.totsize = static_cast<std::uint16_t>(at);
  header.count = static_cast<std::uint8_t>(items.size());
}

std::uint32_t attr_leaf_item_bytes(const AttrItem& item) {
  return static_cast<std::uint32_t>(sizeof(AttrLeafEntry)) + stored_bytes(item);
}

std::uint32_t attr_leaf_capacity_bytes(std::uint32_t block_bytes) {
  return block_bytes - static_cast<std::uint32_t>(sizeof(AttrLeafHeader));
}

std::vector<std::size_t> divide_attr_items(const std::vector<AttrItem>& items, std::uint32_t block_bytes) {
  std::uint64_t enough = attr_leaf_capacity_bytes(block_bytes);
  const std::size_t parts = fill_parts(items, enough).size();
  std::uint64_t least = 0;
  while (parts > 1 && least < enough) {
    const std::uint64_t most = least + (enough - least) / 2;
    // A part of one item that is larger than asked for does not count: the search only has to end.
    if (fill_parts(items, most).size() <= parts) {
      enough = most;
    } else {
      least = most + 1;
    }
  }
  return fill_parts(items, enough);
}

void write_attr_leaf(MutableByteSpan block, std::span<const AttrItem> items) {
  std::vector<std::uint32_t> order(items.size());
  for (std::uint32_t i = 0; i < order.size(); ++i) order[i] = i;
  // From the back of the block; new ones, which were nowhere, come last.
  std::stable_sort(order.begin(), order.end(), [&](std::uint32_t left, std::uint32_t right) {
    return items[left].entry.at_bytes > items[right].entry.at_bytes;
  });
  std::fill(block.begin() + sizeof(DaBlockInfo), block.end(), std::byte{0});
  const auto entries_end = static_cast<std::uint32_t>(sizeof(AttrLeafHeader) + items.size() * sizeof(AttrLeafEntry));
  auto at = static_cast<std::uint32_t>(block.size());
  for (const std::uint32_t i : order) {
    const AttrItem& item = items[i];
    XDAX_ASSERT(at >= entries_end + stored_bytes(item));
    at -= stored_bytes(item);
    write_name(block, at, item);
    auto& entry = mutable_view<AttrLeafEntry>(block, sizeof(AttrLeafHeader) + i * sizeof(AttrLeafEntry));
    entry.hashval = item.hash;
    entry.nameidx = static_cast<std::uint16_t>(at);
    entry.flags = static_cast<std::uint8_t>(item.entry.flags | (item.entry.remote ? 0 : attr_flags::kLocal));
  }
  auto& header = mutable_view<AttrLeafHeader>(block);
  header.count = static_cast<std::uint16_t>(items.size());
  header.usedbytes = static_cast<std::uint16_t>(block.size() - at);
  header.firstused = static_cast<std::uint16_t>(at);  // 64 KiB is stored as zero
  header.freemap[0].base = static_cast<std::uint16_t>(entries_end);
  header.freemap[0].size = static_cast<std::uint16_t>(at - entries_end);
}

}  // namespace xdax
