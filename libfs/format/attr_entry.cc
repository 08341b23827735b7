#include "libfs/format/attr_entry.h"

#include <bit>

#include "libfs/format/da_hash.h"

namespace xdax {
namespace {

void check_parent(Flaws& flaws, const AttrEntry& entry, const Geometry& geometry) {
  if (!geometry.features.parent()) {
    flaws.add({FlawKind::kConsistency, "attr.flags", entry.at_bytes, entry.flags, attr_flags::kParent,
               "no parent pointer without the parent feature"});
  }
  if (!valid_dir_name(entry.name)) {
    flaws.add({FlawKind::kRange, "parent.name", entry.at_bytes, entry.name.size(), limits::kMaxNameBytes,
               "the name of a directory entry"});
  }
  if (entry.remote || entry.value_bytes != sizeof(ParentPointer)) {
    flaws.add({FlawKind::kRange, "parent.valuelen", entry.at_bytes, entry.value_bytes, sizeof(ParentPointer),
               "12 bytes beside the name"});
    return;
  }
  const auto& parent = view<ParentPointer>(entry.value);
  if (!geometry.valid_inode(InodeNumber(parent.ino))) {
    flaws.add({FlawKind::kPointer, "parent.ino", entry.at_bytes, parent.ino, 0, "an inode of the filesystem"});
  }
}

}  // namespace

void check_attr_entry(Flaws& flaws, const AttrEntry& entry, const Geometry& geometry, std::uint8_t allowed_flags) {
  const std::uint32_t namespaces = entry.flags & attr_flags::kNamespaces;
  if (std::popcount(namespaces) > 1) {
    flaws.add({FlawKind::kConsistency, "attr.flags", entry.at_bytes, entry.flags, namespaces, "one namespace"});
  }
  const std::uint32_t unknown = entry.flags & ~std::uint32_t{attr_flags::kNamespaces} & ~std::uint32_t{allowed_flags};
  if (unknown != 0) {
    flaws.add({FlawKind::kReserved, "attr.flags", entry.at_bytes, entry.flags, allowed_flags, "known flags only"});
  }
  if (entry.parent()) {
    check_parent(flaws, entry, geometry);
  } else if (!valid_attr_name(entry.name)) {
    flaws.add({FlawKind::kRange, "attr.name", entry.at_bytes, entry.name.size(), limits::kMaxNameBytes,
               "1 to 255 bytes without a zero"});
  }
}

std::uint32_t attr_hash(const AttrEntry& entry, const Features& features) {
  if (!entry.parent() || entry.value.size() != sizeof(ParentPointer)) return name_hash(entry.name);
  return parent_pointer_hash(entry.name, InodeNumber(view<ParentPointer>(entry.value).ino), features);
}

}  // namespace xdax
