#include "libfs/attr/attr_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "libfs/attr/attr_remote.h"
#include "libfs/attr/attr_tree.h"
#include "libfs/attr/fork_split.h"
#include "libfs/base/error.h"
#include "libfs/format/attr_leaf.h"
#include "libfs/format/attr_shortform.h"
#include "libfs/format/da_hash.h"
#include "libfs/journal/superblock_edit.h"

namespace xdax {
namespace {

AttrItem new_item(const AttrKey& key, ByteSpan value) {
  return {.entry = {.name = key.name,
                    .value = value,
                    .flags = key.space,
                    .value_bytes = static_cast<std::uint32_t>(value.size())},
          .hash = key.hash};
}

[[noreturn]] void refuse(const InodeEdit& inode, Errc code, const AttrName& name, const char* what) {
  throw RefusalError(code,
                     fmt::format("{}: inode {}: attribute \"{}\" {}", inode.transaction().journal().device().name(),
                                 inode.ino().value(), name.name, what));
}

}  // namespace

AttrName attr_name(AttrNamespace space, std::string_view name) {
  switch (space) {
    case AttrNamespace::kTrusted:
      return {.space = attr_flags::kRoot, .name = name};
    case AttrNamespace::kSecurity:
      return {.space = attr_flags::kSecure, .name = name};
    case AttrNamespace::kUser:
      break;
  }
  return {.space = 0, .name = name};
}

AttrWriter::AttrWriter(const InodeEdit& inode) : inode_(inode) { inode.require_allocated(); }

AttrKey AttrWriter::checked_key(const AttrName& name, ByteSpan value) const {
  const bool parent = name.space == attr_flags::kParent;
  if ((name.space & ~attr_flags::kNamespaces) != 0 || std::popcount(name.space) > 1) {
    refuse(inode_, Errc::kBadArgument, name, "is in no namespace");
  }
  if (parent ? !valid_dir_name(name.name) : !valid_attr_name(name.name)) {
    refuse(inode_, Errc::kBadArgument, name, "has no name an attribute can have");
  }
  if (value.size() > limits::kMaxAttrValueBytes) {
    refuse(inode_, Errc::kBadArgument, name, "would have a value of more than 64 KiB");
  }
  if (!parent) return {.space = name.space, .name = name.name, .parent = {}, .hash = name_hash(name.name)};
  if (!inode_.geometry().features.parent() || value.size() != sizeof(ParentPointer)) {
    refuse(inode_, Errc::kBadArgument, name, "is no parent pointer of this filesystem");
  }
  const InodeNumber parent_ino{view<ParentPointer>(value).ino};
  return {.space = name.space,
          .name = name.name,
          .parent = value,
          .hash = parent_pointer_hash(name.name, parent_ino, inode_.geometry().features)};
}

void AttrWriter::check_mode(const AttrName& name, bool found, SetMode mode) const {
  if (found && mode == SetMode::kCreate) refuse(inode_, Errc::kExists, name, "is there already");
  if (!found && mode == SetMode::kReplace) refuse(inode_, Errc::kNotFound, name, "is not there");
}

// The filesystem has had attributes: older kernels look for them only then.
void AttrWriter::note_in_superblock() {
  Transaction& transaction = inode_.transaction();
  const std::uint16_t versionnum = read_superblock(transaction).versionnum;
  if ((versionnum & version_bits::kAttr) != 0) return;
  change_superblock(transaction).versionnum = static_cast<std::uint16_t>(versionnum | version_bits::kAttr);
}

// In the inode, or nowhere yet.
bool AttrWriter::is_local() const {
  return inode_.core().forkoff == 0 || fork_format(inode_.core(), Fork::kAttr) == ForkFormat::kLocal;
}

// Writes all attributes into the inode. False, and nothing has changed, when they do not fit there.
bool AttrWriter::store_local(const std::vector<AttrItem>& items) {
  const auto bytes = attr_shortform_bytes(items);
  if (!bytes || !ForkSplit(inode_).make_room(*bytes)) return false;
  inode_.change_core().aformat = static_cast<std::uint8_t>(ForkFormat::kLocal);
  write_attr_shortform(inode_.change_fork(Fork::kAttr), items);
  return true;
}

void AttrWriter::set(const AttrName& name, ByteSpan value, SetMode mode) {
  const AttrKey key = checked_key(name, value);
  const AttrItem item = new_item(key, value);
  if (!is_local() || !set_local(name, item, key, mode)) set_in_tree(name, item, key, mode);
  note_in_superblock();
}

// False when it must go into a tree: the attributes that were there lie in one then.
bool AttrWriter::set_local(const AttrName& name, const AttrItem& item, const AttrKey& key, SetMode mode) {
  AttrItems content = AttrItems::of_shortform(inode_.fork(Fork::kAttr), inode_.geometry());
  const auto index = content.find(key);
  check_mode(name, index.has_value(), mode);
  std::vector<AttrItem> after = content.items;
  if (index) {
    after[*index] = item;
  } else {
    after.push_back(item);
  }
  if (store_local(after)) return true;
  to_tree(content.items);
  return false;
}

void AttrWriter::to_tree(const std::vector<AttrItem>& items) {
  ForkSplit(inode_).force_room();
  inode_.change_core().aformat = static_cast<std::uint8_t>(ForkFormat::kExtents);
  const MutableByteSpan area = inode_.change_fork(Fork::kAttr);
  std::fill(area.begin(), area.end(), std::byte{0});
  if (items.empty()) return;
  ForkWriter fork(inode_, Fork::kAttr);
  AttrTree tree(fork);
  tree.make_root();
  AttrTree::Place place = tree.place_for(0);
  place.content.items = items;
  std::stable_sort(place.content.items.begin(), place.content.items.end(),
                   [](const AttrItem& left, const AttrItem& right) { return left.hash < right.hash; });
  tree.store(std::move(place));
}

void AttrWriter::set_in_tree(const AttrName& name, AttrItem item, const AttrKey& key, SetMode mode) {
  ForkWriter fork(inode_, Fork::kAttr);
  AttrTree tree(fork);
  auto place = tree.find(key);
  check_mode(name, place.has_value(), mode);
  const Geometry& geometry = inode_.geometry();
  const std::uint32_t local =
      attr_local_bytes(static_cast<std::uint32_t>(item.entry.name.size()), item.entry.value_bytes);
  if (!tree.exists()) tree.make_root();
  if (place) {
    const AttrEntry& old = place->content.items[place->index].entry;
    if (old.remote) free_remote_value(fork, FileBlock(old.remote_block), old.value_bytes);
  }
  if (local > attr_local_limit_bytes(geometry.block_bytes)) {
    item.entry.remote = true;
    item.entry.remote_block = static_cast<std::uint32_t>(write_remote_value(fork, item.entry.value).value());
  }
  if (place) {
    place->content.items[place->index] = item;
    tree.store(std::move(*place));
    shrink(tree, key.hash);
    return;
  }
  AttrTree::Place fresh = tree.place_for(key.hash);
  fresh.content.items.insert(fresh.content.items.begin() + static_cast<std::ptrdiff_t>(fresh.index), item);
  tree.store(std::move(fresh));
}

void AttrWriter::remove(const AttrName& name, ByteSpan value) {
  if (!remove_if_there(name, value)) refuse(inode_, Errc::kNotFound, name, "is not there");
}

bool AttrWriter::remove_if_there(const AttrName& name, ByteSpan value) { return erase(checked_key(name, value)); }

void AttrWriter::remove_unfinished(const AttrName& name, ByteSpan value) {
  AttrKey key = checked_key(name, value);
  key.space |= attr_flags::kIncomplete;
  // Every turn makes one less.
  while (erase(key)) {
  }
}

// False when there is none.
bool AttrWriter::erase(const AttrKey& key) { return is_local() ? remove_local(key) : remove_from_tree(key); }

bool AttrWriter::remove_local(const AttrKey& key) {
  AttrItems content = AttrItems::of_shortform(inode_.fork(Fork::kAttr), inode_.geometry());
  const auto index = content.find(key);
  if (!index) return false;
  content.items.erase(content.items.begin() + static_cast<std::ptrdiff_t>(*index));
  if (content.items.empty()) {
    ForkSplit(inode_).remove();
  } else {
    write_attr_shortform(inode_.change_fork(Fork::kAttr), content.items);
  }
  return true;
}

bool AttrWriter::remove_from_tree(const AttrKey& key) {
  ForkWriter fork(inode_, Fork::kAttr);
  AttrTree tree(fork);
  auto place = tree.find(key);
  if (!place) return false;
  auto& items = place->content.items;
  const AttrEntry old = items[place->index].entry;
  if (old.remote) free_remote_value(fork, FileBlock(old.remote_block), old.value_bytes);
  items.erase(items.begin() + static_cast<std::ptrdiff_t>(place->index));
  tree.store(std::move(*place));
  shrink(tree, key.hash);
  return true;
}

// After something has gone: smaller forms, where all fits one.
void AttrWriter::shrink(AttrTree& tree, std::uint32_t hash) {
  tree.join_around(hash);
  const auto content = tree.only_leaf();
  if (!content) return;
  if (content->items.empty()) {
    tree.remove_root();
    ForkSplit(inode_).remove();
    return;
  }
  const auto bytes = attr_shortform_bytes(content->items);
  if (!bytes || *bytes > inode_.fork(Fork::kAttr).size()) return;
  tree.remove_root();
  XDAX_ASSERT(attr_extent_count(inode_.core()) == 0);
  const bool stored = store_local(content->items);
  XDAX_ASSERT(stored);
}

}  // namespace xdax
