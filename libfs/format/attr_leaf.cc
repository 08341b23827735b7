#include "libfs/format/attr_leaf.h"

#include <algorithm>
#include <bitset>

#include "libfs/format/dir_entry.h"

namespace xdax {
namespace {

constexpr std::uint32_t kHeaderBytes = sizeof(AttrLeafHeader);
constexpr std::uint32_t kMaxBlockBytes = 1u << limits::kMaxBlockLog;

std::uint32_t most_entries(std::size_t block_bytes) {
  return static_cast<std::uint32_t>((block_bytes - kHeaderBytes) / sizeof(AttrLeafEntry));
}

class Check {
 public:
  Check(ByteSpan block, const Geometry& geometry, Flaws& flaws)
      : block_(block), header_(view<AttrLeafHeader>(block)), geometry_(geometry), flaws_(flaws) {}

  // False when the entries or names cannot be looked at.
  bool bounds() {
    const std::uint32_t count = header_.count;
    const std::uint32_t first_used = attr_leaf_first_used(block_);
    if (count > most_entries(block_.size())) {
      flaw(FlawKind::kCount, "attr_leaf.count", offsetof(AttrLeafHeader, count), count, most_entries(block_.size()),
           "at most what fits the block");
      return false;
    }
    entries_end_ = kHeaderBytes + count * static_cast<std::uint32_t>(sizeof(AttrLeafEntry));
    if (first_used < entries_end_ || first_used > block_.size()) {
      flaw(FlawKind::kRange, "attr_leaf.firstused", offsetof(AttrLeafHeader, firstused), first_used, entries_end_,
           "between the entries and the end of the block");
      return false;
    }
    return true;
  }

  void names() {
    const auto entries = attr_leaf_entries(block_);
    std::uint32_t used_bytes = 0;
    std::uint32_t previous_hash = 0;
    for (std::size_t i = 0; i < entries.size(); ++i) {
      const AttrLeafEntry& entry = entries[i];
      const auto at = static_cast<std::uint32_t>(kHeaderBytes + i * sizeof(AttrLeafEntry));
      if (entry.hashval < previous_hash) {
        flaw(FlawKind::kOrder, "attr_leaf.hashval", at, entry.hashval, previous_hash, "not below the hash before it");
      }
      previous_hash = entry.hashval;
      const auto name = attr_leaf_name(block_, entry);
      if (!name || entry.nameidx < attr_leaf_first_used(block_) || entry.nameidx % kAttrNameAlignBytes != 0) {
        flaw(FlawKind::kPointer, "attr_leaf.nameidx", at + static_cast<std::uint32_t>(sizeof(be32)), entry.nameidx,
             attr_leaf_first_used(block_), "an aligned name behind firstused, inside the block");
        continue;
      }
      one(entry, *name);
      const std::uint32_t bytes = bytes_of(entry, *name);
      used_bytes += bytes;
      occupy(entry.nameidx, bytes);
    }
    if (header_.usedbytes != used_bytes) {
      flaw(FlawKind::kConsistency, "attr_leaf.usedbytes", offsetof(AttrLeafHeader, usedbytes), header_.usedbytes,
           used_bytes, "the sum of the names' sizes");
    }
  }

  void freemap() {
    for (std::size_t i = 0; i < AttrLeafHeader::kFreemapEntries; ++i) {
      const AttrFreeRegion& region = header_.freemap[i];
      // An empty region's base means nothing: growing entries push it about.
      if (region.size == 0) continue;
      const auto at = static_cast<std::uint32_t>(offsetof(AttrLeafHeader, freemap) + i * sizeof(AttrFreeRegion));
      const std::uint32_t end = std::uint32_t{region.base} + region.size;
      if (region.base < entries_end_ || end > block_.size() || region.base % kAttrNameAlignBytes != 0 ||
          region.size % kAttrNameAlignBytes != 0) {
        flaw(FlawKind::kRange, "attr_leaf.freemap", at, region.base, region.size,
             "whole words between the entries and the end of the block");
        continue;
      }
      if (!occupy_words(region.base, region.size)) {
        flaw(FlawKind::kConsistency, "attr_leaf.freemap", at, region.base, region.size, "nothing that is used");
      }
    }
  }

 private:
  void one(const AttrLeafEntry& entry, const AttrEntry& name) {
    check_attr_entry(flaws_, name, geometry_, attr_flags::kLocal | attr_flags::kIncomplete);
    if (entry.hashval != attr_hash(name, geometry_.features)) {
      flaw(FlawKind::kConsistency, "attr_leaf.hashval", entry.nameidx, entry.hashval,
           attr_hash(name, geometry_.features), "the hash of its name");
    }
    if (entry.local()) return;
    // An incomplete value's blocks may not be there yet, or be gone.
    const bool incomplete = (entry.flags & attr_flags::kIncomplete) != 0;
    if ((name.remote_block == 0 || name.value_bytes == 0) && !incomplete) {
      flaw(FlawKind::kPointer, "attr_leaf.valueblk", entry.nameidx, name.remote_block, 0,
           "a block of the fork, not its first");
    }
    if (name.value_bytes > limits::kMaxAttrValueBytes) {
      flaw(FlawKind::kRange, "attr_leaf.valuelen", entry.nameidx, name.value_bytes, limits::kMaxAttrValueBytes,
           "at most 64 KiB");
    }
  }

  static std::uint32_t bytes_of(const AttrLeafEntry& entry, const AttrEntry& name) {
    const auto name_bytes = static_cast<std::uint32_t>(name.name.size());
    return entry.local() ? attr_local_bytes(name_bytes, name.value_bytes) : attr_remote_bytes(name_bytes);
  }

  void occupy(std::uint32_t offset, std::uint32_t bytes) {
    if (offset + bytes > block_.size() || !occupy_words(offset, bytes)) {
      flaw(FlawKind::kOrder, "attr_leaf.nameidx", offset, offset, bytes, "no name over another");
    }
  }
  // Marks aligned words as used; false when one was already.
  bool occupy_words(std::uint32_t offset, std::uint32_t bytes) {
    bool free = true;
    for (std::uint32_t word = offset / kAttrNameAlignBytes; word < (offset + bytes) / kAttrNameAlignBytes; ++word) {
      free = free && !used_[word];
      used_.set(word);
    }
    return free;
  }

  void flaw(FlawKind kind, const char* field, std::size_t offset_bytes, std::uint64_t found, std::uint64_t expected,
            const char* rule) {
    flaws_.add({kind, field, static_cast<std::uint32_t>(offset_bytes), found, expected, rule});
  }

  ByteSpan block_;
  const AttrLeafHeader& header_;
  const Geometry& geometry_;
  Flaws& flaws_;
  std::uint32_t entries_end_ = 0;
  std::bitset<kMaxBlockBytes / kAttrNameAlignBytes> used_;
};

}  // namespace

std::span<const AttrLeafEntry> attr_leaf_entries(ByteSpan block) {
  const std::uint32_t count = view<AttrLeafHeader>(block).count;
  return view_array<AttrLeafEntry>(block, kHeaderBytes, std::min(count, most_entries(block.size())));
}

std::uint32_t attr_leaf_first_used(ByteSpan block) {
  const std::uint32_t stored = view<AttrLeafHeader>(block).firstused;
  return stored == 0 && block.size() == kMaxBlockBytes ? kMaxBlockBytes : stored;
}

std::optional<AttrEntry> attr_leaf_name(ByteSpan block, const AttrLeafEntry& entry) {
  const std::size_t at = entry.nameidx;
  if (at < kHeaderBytes + attr_leaf_entries(block).size_bytes() || at > block.size()) return std::nullopt;
  const std::size_t room = block.size() - at;
  AttrEntry decoded{.flags = entry.flags, .at_bytes = static_cast<std::uint32_t>(at)};
  if (entry.local()) {
    if (room < sizeof(AttrLeafLocal)) return std::nullopt;
    const auto& stored = view<AttrLeafLocal>(block, at);
    if (room - sizeof(AttrLeafLocal) < std::size_t{stored.namelen} + stored.valuelen) return std::nullopt;
    const std::size_t name = at + sizeof(AttrLeafLocal);
    decoded.name = name_at(block, name, stored.namelen);
    decoded.value = block.subspan(name + stored.namelen, stored.valuelen);
    decoded.value_bytes = stored.valuelen;
    return decoded;
  }
  if (room < sizeof(AttrLeafRemote)) return std::nullopt;
  const auto& stored = view<AttrLeafRemote>(block, at);
  if (room - sizeof(AttrLeafRemote) < stored.namelen) return std::nullopt;
  decoded.name = name_at(block, at + sizeof(AttrLeafRemote), stored.namelen);
  decoded.remote = true;
  decoded.remote_block = stored.valueblk;
  decoded.value_bytes = stored.valuelen;
  return decoded;
}

Flaws verify_attr_leaf(ByteSpan block, const Geometry& geometry, const DaExpectation& expected) {
  Flaws flaws;
  if (!check_da_info(flaws, block, geometry, Fork::kAttr, expected, AttrLeafHeader::kMagic)) return flaws;
  Check check(block, geometry, flaws);
  if (!check.bounds()) return flaws;
  check.names();
  check.freemap();
  return flaws;
}

}  // namespace xdax
