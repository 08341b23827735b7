#include "libfs/attr/attributes.h"

#include <fmt/format.h>

#include <algorithm>

#include "libfs/format/attr_leaf.h"
#include "libfs/format/attr_shortform.h"
#include "libfs/format/da_hash.h"
#include "libfs/format/remote_block.h"

namespace xdax {
namespace {

constexpr DaLeafKind kAttrLeaf{
    .verify = verify_attr_leaf, .hashes = [](ByteSpan block) -> std::optional<DaLeafKind::Hashes> {
      const auto entries = attr_leaf_entries(block);
      if (entries.empty()) return std::nullopt;
      return DaLeafKind::Hashes{.least = entries.front().hashval, .greatest = entries.back().hashval};
    }};

// Nothing for a parent pointer, and for what is not finished.
std::optional<AttrNamespace> space_of(const AttrEntry& entry) {
  if ((entry.flags & attr_flags::kIncomplete) != 0) return std::nullopt;
  switch (entry.flags & attr_flags::kNamespaces) {
    case 0:
      return AttrNamespace::kUser;
    case attr_flags::kRoot:
      return AttrNamespace::kTrusted;
    case attr_flags::kSecure:
      return AttrNamespace::kSecurity;
    default:
      return std::nullopt;
  }
}

}  // namespace

const char* to_string(AttrNamespace space) {
  switch (space) {
    case AttrNamespace::kUser:
      return "user";
    case AttrNamespace::kTrusted:
      return "trusted";
    case AttrNamespace::kSecurity:
      return "security";
  }
  return "unknown";
}

std::string Attribute::full_name() const { return fmt::format("{}.{}", to_string(space), name); }

Attributes::Attributes(const MetadataReader& reader, Inode inode)
    : reader_(reader),
      inode_(std::move(inode)),
      format_(fork_format(inode_.core(), Fork::kAttr)),
      blocks_(reader_, inode_, Fork::kAttr, "attributes") {
  const bool present = fork_area(inode_.core(), reader_.geometry().inode_bytes, Fork::kAttr).size_bytes > 0;
  if (!present) format_ = ForkFormat::kDev;
  if (format_ == ForkFormat::kLocal) {
    reader_.require(verify_attr_shortform(inode_.fork(Fork::kAttr), reader_.geometry()),
                    fork_place(reader_, inode_, Fork::kAttr, "attributes"));
  }
}

void Attributes::each_short(const std::function<bool(const AttrEntry&)>& visit) const {
  AttrShortformCursor cursor(inode_.fork(Fork::kAttr));
  while (const auto entry = cursor.next()) {
    if (!visit(*entry)) return;
  }
}

bool Attributes::each_of_leaf(const DaBlock& leaf, const std::function<bool(const AttrEntry&)>& visit) const {
  for (const AttrLeafEntry& entry : attr_leaf_entries(leaf.bytes)) {
    const auto name = attr_leaf_name(leaf.bytes, entry);
    if (!name) blocks_.corrupt(leaf, "a name lies outside of it");
    if (!visit(*name)) return false;
  }
  return true;
}

void Attributes::each(const std::function<bool(const AttrEntry&)>& visit) {
  if (format_ == ForkFormat::kLocal) return each_short(visit);
  // A fork without extents is room for attributes that are gone.
  if (blocks_.map().end() == FileBlock(0)) return;
  DaTree tree(blocks_, FileBlock(0), kAttrLeaf);
  for (auto leaf = tree.find(0); leaf; leaf = tree.next(*leaf)) {
    if (!each_of_leaf(*leaf, visit)) return;
  }
}

std::vector<Attribute> Attributes::list() {
  std::vector<Attribute> all;
  each([&](const AttrEntry& entry) {
    if (const auto space = space_of(entry)) {
      all.push_back({.space = *space, .name = std::string(entry.name), .value_bytes = entry.value_bytes});
    }
    return true;
  });
  return all;
}

std::vector<ParentEntry> Attributes::parents() {
  std::vector<ParentEntry> all;
  each([&](const AttrEntry& entry) {
    const bool finished = (entry.flags & attr_flags::kIncomplete) == 0;
    // The verifiers have looked at the size of the value.
    if (entry.parent() && finished && !entry.remote && entry.value.size() == sizeof(ParentPointer)) {
      const auto& pointer = view<ParentPointer>(entry.value);
      all.push_back({.parent = InodeNumber(pointer.ino), .generation = pointer.gen, .name = std::string(entry.name)});
    }
    return true;
  });
  return all;
}

std::optional<std::vector<std::byte>> Attributes::get(AttrNamespace space, std::string_view name) {
  if (!valid_attr_name(name)) return std::nullopt;
  std::optional<std::vector<std::byte>> value;
  const auto visit = [&](const AttrEntry& entry) {
    if (space_of(entry) != space || entry.name != name) return true;
    value = value_of(entry);
    return false;
  };
  if (format_ == ForkFormat::kLocal) {
    each_short(visit);
    return value;
  }
  if (blocks_.map().end() == FileBlock(0)) return std::nullopt;
  const std::uint32_t hash = name_hash(name);
  DaTree tree(blocks_, FileBlock(0), kAttrLeaf);
  for (auto leaf = tree.find(hash); leaf && !value; leaf = tree.next(*leaf)) {
    const auto entries = attr_leaf_entries(leaf->bytes);
    auto entry = std::partition_point(entries.begin(), entries.end(),
                                      [hash](const AttrLeafEntry& each) { return each.hashval < hash; });
    for (; entry != entries.end() && entry->hashval == hash; ++entry) {
      const auto found = attr_leaf_name(leaf->bytes, *entry);
      if (!found) blocks_.corrupt(*leaf, "a name lies outside of it");
      if (!visit(*found)) return value;
    }
    if (entry != entries.end()) break;
  }
  return value;
}

std::vector<std::byte> Attributes::value_of(const AttrEntry& entry) {
  if (!entry.remote) return {entry.value.begin(), entry.value.end()};
  const Geometry& geometry = reader_.geometry();
  if (entry.value_bytes > limits::kMaxAttrValueBytes) {
    reader_.corrupt(blocks_.place(), fmt::format("a value has {} bytes", entry.value_bytes));
  }
  std::vector<std::byte> value;
  value.reserve(entry.value_bytes);
  const std::uint32_t blocks = attr_remote_blocks(entry.value_bytes, geometry.block_bytes);
  for (std::uint32_t i = 0; i < blocks; ++i) {
    const DaBlock block = blocks_.read(FileBlock(std::uint64_t{entry.remote_block} + i));
    blocks_.require(verify_attr_remote(block.bytes, geometry,
                                       {.owner = inode_.ino(),
                                        .block = block.first,
                                        .offset_bytes = static_cast<std::uint32_t>(value.size()),
                                        .value_bytes = entry.value_bytes}),
                    block);
    const ByteSpan content = remote_content(block.bytes);
    value.insert(value.end(), content.begin(), content.end());
  }
  return value;
}

}  // namespace xdax
