#include "libfs/attr/attr_tree.h"

#include <fmt/format.h>

#include <algorithm>

#include "libfs/attr/attr_remote.h"
#include "libfs/base/error.h"
#include "libfs/format/attr_leaf.h"

namespace xdax {
namespace {

constexpr FileBlock kRoot{0};

// What the items of a leaf take, as attr_leaf_item_bytes() counts them.
std::uint32_t filled_bytes(ByteSpan leaf) {
  const auto& header = view<AttrLeafHeader>(leaf);
  return header.count * static_cast<std::uint32_t>(sizeof(AttrLeafEntry)) + header.usedbytes;
}

}  // namespace

AttrTree::AttrTree(ForkWriter& fork) : fork_(fork) {
  exists_ = fork.extent_count() != 0;
  if (!exists_) return;
  // Of the root nobody else says what it is.
  std::vector<std::byte> root(block_bytes());
  transaction().view().read(place_of(kRoot).byte, root);
  root_is_node_ = view<DaBlockInfo>(root).magic == DaNodeHeader::kMagic;
}

MetadataIdentity AttrTree::identity(FileBlock at, bool node) const {
  return {.kind = node ? MetadataKind::kAttrNode : MetadataKind::kAttrLeaf, .owner = inode().ino(), .file_block = at};
}

BlockPlace AttrTree::place_of(FileBlock at) {
  const auto extent = fork_.find(at);
  if (!extent) corrupt("a block of its attributes is not mapped");
  const FsBlock block = extent->start + (at - extent->file_block);
  return {.byte = inode().geometry().byte_of(block), .length_bytes = block_bytes()};
}

void AttrTree::corrupt(const char* what) const {
  throw CorruptionError(
      Errc::kBadStructure,
      fmt::format("{}: inode {}: {}", inode().transaction().journal().device().name(), inode().ino().value(), what));
}

std::uint32_t AttrTree::most_children() const {
  return static_cast<std::uint32_t>((block_bytes() - sizeof(DaNodeHeader)) / sizeof(DaNodeEntry));
}

std::uint32_t AttrTree::root_level() { return root_is_node_ ? view<DaNodeHeader>(read(kRoot, true)).level.get() : 0u; }

std::vector<AttrTree::Child> AttrTree::children(FileBlock at, std::uint32_t level) {
  const ByteSpan bytes = read(at, true);
  if (level != 0 && view<DaNodeHeader>(bytes).level != level) corrupt("a node of its attributes has another level");
  std::vector<Child> all;
  for (const DaNodeEntry& entry : da_node_entries(bytes)) {
    all.push_back({.hash = entry.hashval, .at = FileBlock(entry.before)});
  }
  return all;
}

void AttrTree::write_children(FileBlock at, const std::vector<Child>& children) {
  XDAX_ASSERT(!children.empty() && children.size() <= most_children());
  const MutableByteSpan bytes = change(at, true);
  mutable_view<DaNodeHeader>(bytes).count = static_cast<std::uint16_t>(children.size());
  const MutableByteSpan area = bytes.subspan(sizeof(DaNodeHeader));
  std::fill(area.begin(), area.end(), std::byte{0});
  const auto entries = mutable_view_array<DaNodeEntry>(area, 0, children.size());
  for (std::size_t i = 0; i < children.size(); ++i) {
    entries[i].hashval = children[i].hash;
    entries[i].before = static_cast<std::uint32_t>(children[i].at.value());
  }
}

// From `at`, which is `level` above the leaves, to the leaf.
void AttrTree::descend_left(Place& place, FileBlock at, std::uint32_t level) {
  for (; level > 0; --level) {
    place.nodes.push_back({.at = at, .index = 0});
    at = children(at, level).front().at;
  }
  place.leaf = at;
}

void AttrTree::descend(Place& place, std::uint32_t hash) {
  FileBlock at = kRoot;
  for (std::uint32_t level = root_level(); level > 0; --level) {
    const std::vector<Child> all = children(at, level);
    const auto child = std::partition_point(all.begin(), all.end(), [&](const Child& c) { return c.hash < hash; });
    const auto index = static_cast<std::uint32_t>(std::min<std::ptrdiff_t>(
        child - all.begin(), static_cast<std::ptrdiff_t>(all.size()) - 1));  // behind all: in the last one
    place.nodes.push_back({.at = at, .index = index});
    at = all[index].at;
  }
  place.leaf = at;
}

// To the leaf behind; false when it was the last one.
bool AttrTree::next(Place& place) {
  const auto levels = static_cast<std::uint32_t>(place.nodes.size());
  while (!place.nodes.empty()) {
    Place::Step& step = place.nodes.back();
    const std::uint32_t level = levels - static_cast<std::uint32_t>(place.nodes.size()) + 1;
    const std::vector<Child> all = children(step.at, level);
    if (++step.index < all.size()) {
      descend_left(place, all[step.index].at, level - 1);
      return true;
    }
    place.nodes.pop_back();
  }
  return false;
}

std::optional<AttrTree::Place> AttrTree::find(const AttrKey& key) {
  if (!exists_) return std::nullopt;
  Place place;
  descend(place, key.hash);
  for (;;) {
    place.content = AttrItems::of_leaf(read(place.leaf, false));
    if (const auto index = place.content.find(key)) {
      place.index = *index;
      return place;
    }
    if (place.content.items.empty() || place.content.items.back().hash != key.hash || !next(place)) return std::nullopt;
  }
}

AttrTree::Place AttrTree::place_for(std::uint32_t hash) {
  Place place;
  descend(place, hash);
  place.content = AttrItems::of_leaf(read(place.leaf, false));
  const auto& items = place.content.items;
  place.index = static_cast<std::size_t>(
      std::partition_point(items.begin(), items.end(), [&](const AttrItem& each) { return each.hash <= hash; }) -
      items.begin());
  return place;
}

void AttrTree::fill_info(MutableByteSpan block, FileBlock at, bool node) {
  auto& info = mutable_view<DaBlockInfo>(block);
  info.magic = node ? DaNodeHeader::kMagic : AttrLeafHeader::kMagic;
  info.blkno = place_of(at).byte >> kBasicBlockLog;
  info.uuid = inode().geometry().uuid;
  info.owner = inode().ino().value();
}

FileBlock AttrTree::new_block(bool node, std::uint16_t level) {
  const FileBlock at = exists_ ? attr_hole(fork_, 1) : kRoot;
  fork_.allocate(at, 1, 1);
  const MutableByteSpan block = transaction().create(place_of(at), identity(at, node));
  fill_info(block, at, node);
  if (node) mutable_view<DaNodeHeader>(block).level = level;
  return at;
}

void AttrTree::make_root() {
  XDAX_ASSERT(!exists_);
  (void)new_block(false, 0);
  exists_ = true;
  write_attr_leaf(change(kRoot, false), {});
}

void AttrTree::free_block(FileBlock at, bool node) {
  (void)read(at, node);  // of the kind it is thought to be
  transaction().give_up(place_of(at));
  fork_.free(at, 1);
}

void AttrTree::remove_root() {
  XDAX_ASSERT(exists_ && !root_is_node_);
  free_block(kRoot, false);
  fork_.free(kRoot, inode().geometry().max_file_blocks());
  exists_ = false;
}

void AttrTree::link_behind(FileBlock at, FileBlock fresh, bool node) {
  auto& left = mutable_view<DaBlockInfo>(change(at, node));
  auto& info = mutable_view<DaBlockInfo>(change(fresh, node));
  const FileBlock behind(left.forw);
  info.forw = left.forw;
  info.back = static_cast<std::uint32_t>(at.value());
  left.forw = static_cast<std::uint32_t>(fresh.value());
  if (behind == kRoot) return;
  mutable_view<DaBlockInfo>(change(behind, node)).back = static_cast<std::uint32_t>(fresh.value());
}

void AttrTree::unlink(FileBlock at, bool node) {
  const auto& info = view<DaBlockInfo>(read(at, node));
  const std::uint32_t forw = info.forw;
  const std::uint32_t back = info.back;
  if (forw != 0) mutable_view<DaBlockInfo>(change(FileBlock(forw), node)).back = back;
  if (back != 0) mutable_view<DaBlockInfo>(change(FileBlock(back), node)).forw = forw;
}

// The root's content moves to a block of its own, to which the root leads.
void AttrTree::grow_root(Place& place) {
  const std::uint32_t level = root_level();
  if (level >= limits::kMaxDaLevels) {
    throw RefusalError(Errc::kNoSpace,
                       fmt::format("inode {}: it has as many attributes as it can", inode().ino().value()));
  }
  const FileBlock moved = new_block(level > 0, static_cast<std::uint16_t>(level));
  const ByteSpan from = read(kRoot, level > 0);
  const MutableByteSpan to = change(moved, level > 0);
  std::copy(from.begin() + sizeof(DaBlockInfo), from.end(), to.begin() + sizeof(DaBlockInfo));
  const MutableByteSpan root = change(kRoot, level > 0);
  std::fill(root.begin(), root.end(), std::byte{0});
  fill_info(root, kRoot, true);
  mutable_view<DaNodeHeader>(root).level = static_cast<std::uint16_t>(level + 1);
  transaction().retype(place_of(kRoot), identity(kRoot, true));
  root_is_node_ = true;
  write_children(kRoot, {{.hash = 0, .at = moved}});  // whoever splits the child says its hash
  if (place.nodes.empty()) {
    place.leaf = moved;
  } else {
    place.nodes.front().at = moved;
  }
  place.nodes.insert(place.nodes.begin(), {.at = kRoot, .index = 0});
}

// A root that leads to one block only becomes that block.
void AttrTree::shrink_root() {
  while (root_is_node_) {
    const std::uint32_t level = root_level();
    const std::vector<Child> all = children(kRoot, level);
    if (all.size() != 1) return;
    const FileBlock only = all.front().at;
    const bool node = level > 1;
    const ByteSpan from = read(only, node);
    const MutableByteSpan root = change(kRoot, true);
    std::copy(from.begin() + sizeof(DaBlockInfo), from.end(), root.begin() + sizeof(DaBlockInfo));
    fill_info(root, kRoot, node);
    mutable_view<DaBlockInfo>(root).forw = 0u;
    mutable_view<DaBlockInfo>(root).back = 0u;
    transaction().retype(place_of(kRoot), identity(kRoot, node));
    root_is_node_ = node;
    free_block(only, node);
  }
}

void AttrTree::store(Place&& place) {
  const std::vector<AttrItem>& items = place.content.items;
  if (items.empty()) {
    // The root stays, empty, until it is removed.
    if (place.nodes.empty()) return write_attr_leaf(change(kRoot, false), {});
    unlink(place.leaf, false);
    free_block(place.leaf, false);
    replace(place, place.nodes.size() - 1, 1, {});
    return;
  }
  const std::vector<std::size_t> ends = divide_attr_items(items, block_bytes());
  if (ends.size() > 1 && place.nodes.empty()) grow_root(place);
  std::vector<Child> with;
  std::size_t begin = 0;
  FileBlock at = place.leaf;
  for (const std::size_t end : ends) {
    if (begin != 0) {
      const FileBlock fresh = new_block(false, 0);
      link_behind(at, fresh, false);
      at = fresh;
    }
    write_attr_leaf(change(at, false), std::span(items).subspan(begin, end - begin));
    with.push_back({.hash = items[end - 1].hash, .at = at});
    begin = end;
  }
  if (!place.nodes.empty()) replace(place, place.nodes.size() - 1, 1, with);
}

void AttrTree::replace(Place& place, std::size_t depth, std::uint32_t count, const std::vector<Child>& with) {
  const auto level = static_cast<std::uint32_t>(place.nodes.size() - depth);
  const Place::Step step = place.nodes[depth];
  std::vector<Child> all = children(step.at, level);
  const std::uint32_t greatest = all.back().hash;
  const auto from = all.begin() + step.index;
  all.insert(all.erase(from, from + count), with.begin(), with.end());
  if (all.empty()) {
    if (depth == 0) corrupt("the root of its attributes leads nowhere");
    unlink(step.at, true);
    free_block(step.at, true);
    return replace(place, depth - 1, 1, {});
  }
  if (all.size() <= most_children()) {
    write_children(step.at, all);
    if (depth > 0 && all.back().hash != greatest) {
      replace(place, depth - 1, 1, {{.hash = all.back().hash, .at = step.at}});
    }
    return;
  }
  if (depth == 0) {
    grow_root(place);
    depth = 1;
  }
  const FileBlock left = place.nodes[depth].at;
  const FileBlock right = new_block(true, static_cast<std::uint16_t>(level));
  const auto half = all.begin() + static_cast<std::ptrdiff_t>(all.size() / 2);
  const std::uint32_t left_hash = (half - 1)->hash;
  write_children(left, {all.begin(), half});
  write_children(right, {half, all.end()});
  link_behind(left, right, true);
  replace(place, depth - 1, 1, {{.hash = left_hash, .at = left}, {.hash = all.back().hash, .at = right}});
}

bool AttrTree::join_leaves(Place& place, std::uint32_t left) {
  Place::Step& step = place.nodes.back();
  const std::vector<Child> all = children(step.at, 1);
  if (left + 1 >= all.size()) return false;
  const ByteSpan left_bytes = read(all[left].at, false);
  const ByteSpan right_bytes = read(all[left + 1].at, false);
  if (filled_bytes(left_bytes) + filled_bytes(right_bytes) > attr_leaf_capacity_bytes(block_bytes())) return false;
  AttrItems before = AttrItems::of_leaf(left_bytes);
  const AttrItems behind = AttrItems::of_leaf(right_bytes);
  before.items.insert(before.items.end(), behind.items.begin(), behind.items.end());
  write_attr_leaf(change(all[left].at, false), before.items);
  unlink(all[left + 1].at, false);
  free_block(all[left + 1].at, false);
  step.index = left;
  place.leaf = all[left].at;
  replace(place, place.nodes.size() - 1, 2, {{.hash = all[left + 1].hash, .at = all[left].at}});
  return true;
}

bool AttrTree::join_nodes(Place& place, std::size_t depth, std::uint32_t left) {
  const auto level = static_cast<std::uint32_t>(place.nodes.size() - depth);
  Place::Step& step = place.nodes[depth];
  const std::vector<Child> all = children(step.at, level);
  if (left + 1 >= all.size()) return false;
  std::vector<Child> joined = children(all[left].at, level - 1);
  const std::vector<Child> behind = children(all[left + 1].at, level - 1);
  joined.insert(joined.end(), behind.begin(), behind.end());
  if (joined.size() > most_children()) return false;
  write_children(all[left].at, joined);
  unlink(all[left + 1].at, true);
  free_block(all[left + 1].at, true);
  step.index = left;
  replace(place, depth, 2, {{.hash = all[left + 1].hash, .at = all[left].at}});
  return true;
}

void AttrTree::join_around(std::uint32_t hash) {
  for (bool again = true; again;) {
    shrink_root();
    if (!root_is_node_) return;
    Place place;
    descend(place, hash);
    const std::uint32_t leaf = place.nodes.back().index;
    again = join_leaves(place, leaf) || (leaf > 0 && join_leaves(place, leaf - 1));
    for (std::size_t depth = place.nodes.size() - 1; !again && depth-- > 0;) {
      const std::uint32_t node = place.nodes[depth].index;
      again = join_nodes(place, depth, node) || (node > 0 && join_nodes(place, depth, node - 1));
    }
  }
}

std::optional<AttrItems> AttrTree::only_leaf() {
  if (!exists_ || root_is_node_) return std::nullopt;
  return AttrItems::of_leaf(read(kRoot, false));
}

}  // namespace xdax
