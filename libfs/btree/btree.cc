#include "libfs/btree/btree.h"

#include <algorithm>
#include <cstring>

#include "libfs/base/error.h"
#include "libfs/format/inode_fork.h"

namespace xdax {
namespace {

constexpr std::size_t kLevelOffset = offsetof(ShortBtreeHeader, level);
constexpr std::size_t kCountOffset = offsetof(ShortBtreeHeader, numrecs);
static_assert(kLevelOffset == offsetof(LongBtreeHeader, level) && kCountOffset == offsetof(LongBtreeHeader, numrecs));

}  // namespace

Btree::Btree(Transaction& transaction, BtreeStore& store, BtreeKind kind)
    : transaction_(transaction),
      store_(store),
      layout_(kind, transaction.geometry().block_bytes),
      order_(btree_order(kind)),
      record_bytes_(layout_.spec().record_bytes),
      key_bytes_(layout_.spec().key_bytes),
      keys_bytes_(layout_.spec().key_bytes * layout_.keys_per_pointer()),
      embedded_(kind == BtreeKind::kBmap) {}

// Reading.

Btree::Node Btree::read(std::uint64_t pointer, std::uint32_t level) {
  const ByteSpan bytes = transaction_.read(store_.place(pointer), store_.identity());
  if (view<be16>(bytes, kLevelOffset) != level) {
    throw CorruptionError(Errc::kBadStructure, std::string(layout_.spec().name) + ": a block is of the wrong level");
  }
  return {.bytes = bytes, .level = level};
}

Btree::Node Btree::node(std::uint32_t level) {
  if (is_embedded_root(level)) return {.bytes = store_.embedded(), .level = level, .embedded = true};
  return read(path_[level].pointer, level);
}

Btree::ChangedNode Btree::change_block(std::uint64_t pointer, std::uint32_t level) {
  return {.bytes = transaction_.change(store_.place(pointer), store_.identity()), .level = level};
}

Btree::ChangedNode Btree::change(std::uint32_t level) {
  if (is_embedded_root(level)) return {.bytes = store_.change_embedded(), .level = level, .embedded = true};
  return change_block(path_[level].pointer, level);
}

Btree::Node Btree::looked_at(const ChangedNode& node) {
  return {.bytes = node.bytes, .level = node.level, .embedded = node.embedded};
}

std::uint32_t Btree::count(const Node& node) {
  return node.embedded ? view<BmapRootHeader>(node.bytes).numrecs.get() : view<be16>(node.bytes, kCountOffset).get();
}

void Btree::set_count(const ChangedNode& node, std::uint32_t count) {
  const auto value = static_cast<std::uint16_t>(count);
  if (node.embedded) {
    mutable_view<BmapRootHeader>(node.bytes).numrecs = value;
  } else {
    mutable_view<be16>(node.bytes, kCountOffset) = value;
  }
}

std::uint32_t Btree::max_entries(const Node& node) const {
  if (node.embedded) return BmapRootLayout(static_cast<std::uint32_t>(node.bytes.size())).max_entries();
  return layout_.max_entries(node.level);
}

std::uint32_t Btree::key_offset(const Node& node, std::uint32_t index) const {
  if (node.embedded) return BmapRootLayout(static_cast<std::uint32_t>(node.bytes.size())).key_offset(index);
  return layout_.key_offset(index);
}

std::uint32_t Btree::pointer_offset(const Node& node, std::uint32_t index) const {
  if (node.embedded) return BmapRootLayout(static_cast<std::uint32_t>(node.bytes.size())).pointer_offset(index);
  return layout_.pointer_offset(index);
}

std::uint64_t Btree::pointer_at(const Node& node, std::uint32_t index) const {
  const std::uint32_t at = pointer_offset(node, index);
  return layout_.spec().pointer_bytes == 4 ? view<be32>(node.bytes, at).get() : view<be64>(node.bytes, at).get();
}

void Btree::set_pointer(const ChangedNode& node, std::uint32_t index, std::uint64_t pointer) const {
  const std::uint32_t at = pointer_offset(looked_at(node), index);
  if (layout_.spec().pointer_bytes == 4) {
    mutable_view<be32>(node.bytes, at) = static_cast<std::uint32_t>(pointer);
  } else {
    mutable_view<be64>(node.bytes, at) = pointer;
  }
}

std::uint64_t Btree::sibling(const Node& node, bool right) const {
  if (layout_.spec().pointer_bytes == 4) {
    const auto& header = view<ShortBtreeHeader>(node.bytes);
    return right ? header.rightsib : header.leftsib;
  }
  const auto& header = view<LongBtreeHeader>(node.bytes);
  return right ? header.rightsib : header.leftsib;
}

std::vector<std::byte> Btree::keys_of(const Node& node) const {
  std::vector<std::byte> keys(keys_bytes_);
  const bool leaf = node.level == 0;
  if (leaf) {
    order_.low_key(node.bytes.data() + layout_.record_offset(0), keys.data());
  } else {
    std::memcpy(keys.data(), node.bytes.data() + key_offset(node, 0), key_bytes_);
  }
  if (order_.high_key == nullptr) return keys;
  std::vector<std::byte> high(key_bytes_);
  for (std::uint32_t i = 0; i < count(node); ++i) {
    if (leaf) {
      order_.high_key(node.bytes.data() + layout_.record_offset(i), high.data());
    } else {
      std::memcpy(high.data(), node.bytes.data() + key_offset(node, i) + key_bytes_, key_bytes_);
    }
    if (i == 0 || order_.compare(high.data(), keys.data() + key_bytes_) > 0) {
      std::copy(high.begin(), high.end(), keys.begin() + key_bytes_);
    }
  }
  return keys;
}

// Entries of a node.

void Btree::open_gap(const ChangedNode& node, std::uint32_t index) const {
  const std::uint32_t entries = count(looked_at(node)) - index;
  const auto move = [&](std::uint32_t from, std::uint32_t bytes) {
    std::memmove(node.bytes.data() + from + bytes, node.bytes.data() + from, std::size_t{entries} * bytes);
  };
  if (node.level == 0) {
    move(layout_.record_offset(index), record_bytes_);
  } else {
    move(key_offset(looked_at(node), index), keys_bytes_);
    move(pointer_offset(looked_at(node), index), layout_.spec().pointer_bytes);
  }
  set_count(node, count(looked_at(node)) + 1);
}

void Btree::close_gap(const ChangedNode& node, std::uint32_t index) const {
  const std::uint32_t entries = count(looked_at(node)) - index - 1;
  const auto move = [&](std::uint32_t to, std::uint32_t bytes) {
    std::memmove(node.bytes.data() + to, node.bytes.data() + to + bytes, std::size_t{entries} * bytes);
  };
  if (node.level == 0) {
    move(layout_.record_offset(index), record_bytes_);
  } else {
    move(key_offset(looked_at(node), index), keys_bytes_);
    move(pointer_offset(looked_at(node), index), layout_.spec().pointer_bytes);
  }
  set_count(node, count(looked_at(node)) - 1);
}

// Copies entries into room that is there; counts are the caller's.
void Btree::move_entries(const ChangedNode& from, std::uint32_t from_index, const ChangedNode& to,
                         std::uint32_t to_index, std::uint32_t entries) const {
  const auto copy = [&](std::uint32_t source, std::uint32_t target, std::uint32_t bytes) {
    std::memcpy(to.bytes.data() + target, from.bytes.data() + source, std::size_t{entries} * bytes);
  };
  if (from.level == 0) {
    copy(layout_.record_offset(from_index), layout_.record_offset(to_index), record_bytes_);
    return;
  }
  copy(key_offset(looked_at(from), from_index), key_offset(looked_at(to), to_index), keys_bytes_);
  copy(pointer_offset(looked_at(from), from_index), pointer_offset(looked_at(to), to_index),
       layout_.spec().pointer_bytes);
}

// Finding.

void Btree::start_path() {
  path_.assign(store_.levels(), Step{});
  if (!embedded_) path_.back().pointer = store_.root();
}

// How many entries of a node have keys of at most `key`.
std::uint32_t Btree::entries_at_most(const Node& node, ByteSpan key) const {
  std::uint32_t low = 0;
  std::uint32_t high = count(node);
  std::vector<std::byte> own(key_bytes_);
  while (low < high) {
    const std::uint32_t middle = low + (high - low) / 2;
    if (node.level == 0) {
      order_.low_key(node.bytes.data() + layout_.record_offset(middle), own.data());
    } else {
      std::memcpy(own.data(), node.bytes.data() + key_offset(node, middle), key_bytes_);
    }
    if (order_.compare(own.data(), key.data()) <= 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

// Leaves the leaf's index at the number of records of at most `key`: one past the last of them.
void Btree::descend(ByteSpan key) {
  start_path();
  for (auto level = static_cast<std::uint32_t>(path_.size()); level-- > 0;) {
    const Node here = node(level);
    const std::uint32_t at_most = entries_at_most(here, key);
    if (level == 0) {
      path_[0].index = at_most;
      return;
    }
    path_[level].index = at_most == 0 ? 0 : at_most - 1;
    path_[level - 1].pointer = pointer_at(here, path_[level].index);
  }
}

void Btree::descend_edge(bool last) {
  start_path();
  for (auto level = static_cast<std::uint32_t>(path_.size()); level-- > 0;) {
    const Node here = node(level);
    const std::uint32_t entries = count(here);
    path_[level].index = last && entries != 0 ? entries - 1 : 0;
    if (level != 0) path_[level - 1].pointer = pointer_at(here, path_[level].index);
  }
}

bool Btree::find_at_most(ByteSpan key) {
  descend(key);
  if (path_[0].index == 0) return false;
  --path_[0].index;
  return true;
}

bool Btree::find_at_least(ByteSpan key) {
  descend(key);
  if (path_[0].index > 0) {
    --path_[0].index;
    std::vector<std::byte> own(key_bytes_);
    order_.low_key(record().data(), own.data());
    if (order_.compare(own.data(), key.data()) == 0) return true;
    return next();
  }
  return count(node(0)) != 0;
}

bool Btree::find_first() {
  descend_edge(false);
  return count(node(0)) != 0;
}

bool Btree::find_last() {
  descend_edge(true);
  return count(node(0)) != 0;
}

bool Btree::next() {
  for (std::uint32_t level = 0; level < path_.size(); ++level) {
    if (path_[level].index + 1 >= count(node(level))) continue;
    ++path_[level].index;
    while (level > 0) {
      path_[level - 1] = {.pointer = pointer_at(node(level), path_[level].index), .index = 0};
      --level;
    }
    return true;
  }
  return false;
}

bool Btree::previous() {
  for (std::uint32_t level = 0; level < path_.size(); ++level) {
    if (path_[level].index == 0) continue;
    --path_[level].index;
    while (level > 0) {
      path_[level - 1].pointer = pointer_at(node(level), path_[level].index);
      --level;
      path_[level].index = count(node(level)) - 1;
    }
    return true;
  }
  return false;
}

ByteSpan Btree::record() {
  const Node leaf = node(0);
  XDAX_ASSERT(path_[0].index < count(leaf));
  return leaf.bytes.subspan(layout_.record_offset(path_[0].index), record_bytes_);
}

bool Btree::visit(const Node& node, ByteSpan low, ByteSpan high, const std::function<bool(ByteSpan)>& use) {
  std::vector<std::byte> keys(keys_bytes_);
  for (std::uint32_t i = 0; i < count(node); ++i) {
    if (node.level == 0) {
      order_.low_key(node.bytes.data() + layout_.record_offset(i), keys.data());
      order_.high_key(node.bytes.data() + layout_.record_offset(i), keys.data() + key_bytes_);
    } else {
      std::memcpy(keys.data(), node.bytes.data() + key_offset(node, i), keys_bytes_);
    }
    if (order_.compare(keys.data(), high.data()) > 0) return true;
    if (order_.compare(keys.data() + key_bytes_, low.data()) < 0) continue;
    const bool go_on = node.level == 0 ? use(node.bytes.subspan(layout_.record_offset(i), record_bytes_))
                                       : visit(read(pointer_at(node, i), node.level - 1), low, high, use);
    if (!go_on) return false;
  }
  return true;
}

void Btree::overlapping(ByteSpan low, ByteSpan high, const std::function<bool(ByteSpan record)>& use) {
  XDAX_ASSERT(order_.high_key != nullptr);
  start_path();
  (void)visit(node(static_cast<std::uint32_t>(path_.size()) - 1), low, high, use);
}

// Changing.

// Writes what the parents keep of the node at `level` and of those above it.
void Btree::refresh_keys(std::uint32_t level) {
  for (; level + 1 < path_.size(); ++level) {
    const std::vector<std::byte> keys = keys_of(node(level));
    const std::uint32_t index = path_[level + 1].index;
    const Node parent = node(level + 1);
    const std::uint32_t at = key_offset(parent, index);
    if (std::equal(keys.begin(), keys.end(), parent.bytes.begin() + at)) return;
    const ChangedNode changed = change(level + 1);
    std::copy(keys.begin(), keys.end(), changed.bytes.begin() + at);
  }
}

void Btree::update(ByteSpan record) {
  const ChangedNode leaf = change(0);
  std::copy(record.begin(), record.end(), leaf.bytes.begin() + layout_.record_offset(path_[0].index));
  refresh_keys(0);
}

// Each turn without room changes the tree's form once and searches anew.
void Btree::insert(ByteSpan record) {
  std::vector<std::byte> key(key_bytes_);
  order_.low_key(record.data(), key.data());
  for (;;) {
    descend(key);
    if (count(node(0)) < max_entries(node(0))) break;
    make_room(0);
  }
  const ChangedNode leaf = change(0);
  const std::uint32_t index = path_[0].index;
  open_gap(leaf, index);
  std::copy(record.begin(), record.end(), leaf.bytes.begin() + layout_.record_offset(index));
  refresh_keys(0);
}

void Btree::make_room(std::uint32_t level) {
  if (level + 1 == path_.size()) {
    grow_root();
    return;
  }
  if (shift(level, true) || shift(level, false)) return;
  if (count(node(level + 1)) == max_entries(node(level + 1))) {
    make_room(level + 1);
    return;
  }
  split(level);
}

std::uint64_t Btree::new_block(std::uint32_t level, std::uint64_t near) {
  const std::uint64_t pointer = store_.allocate(near);
  const MutableByteSpan bytes = transaction_.create(store_.place(pointer), store_.identity());
  const Geometry& geometry = transaction_.geometry();
  const auto fill = [&](auto& header, std::uint64_t none) {
    using Header = std::remove_reference_t<decltype(header)>;
    header.magic = layout_.spec().magic;
    header.level = static_cast<std::uint16_t>(level);
    header.leftsib = static_cast<decltype(Header::leftsib)::value_type>(none);
    header.rightsib = static_cast<decltype(Header::rightsib)::value_type>(none);
    header.blkno = store_.place(pointer).byte >> kBasicBlockLog;
    header.uuid = geometry.uuid;
    header.owner = static_cast<decltype(Header::owner)::value_type>(store_.owner());
  };
  if (layout_.spec().pointer_bytes == 4) {
    fill(mutable_view<ShortBtreeHeader>(bytes), kNullAgBlock.value());
  } else {
    fill(mutable_view<LongBtreeHeader>(bytes), kNullFsBlock.value());
  }
  return pointer;
}

void Btree::link(std::uint64_t pointer, std::uint32_t level, bool right, std::uint64_t sibling) {
  const ChangedNode changed = change_block(pointer, level);
  if (layout_.spec().pointer_bytes == 4) {
    auto& header = mutable_view<ShortBtreeHeader>(changed.bytes);
    (right ? header.rightsib : header.leftsib) = static_cast<std::uint32_t>(sibling);
  } else {
    auto& header = mutable_view<LongBtreeHeader>(changed.bytes);
    (right ? header.rightsib : header.leftsib) = sibling;
  }
}

void Btree::grow_root() {
  const auto top = static_cast<std::uint32_t>(path_.size()) - 1;
  const auto levels = static_cast<std::uint32_t>(path_.size());
  if (levels >= limits::kMaxBtreeLevels) {
    throw RefusalError(Errc::kNoSpace, std::string(layout_.spec().name) + ": the tree has as many levels as it can");
  }
  if (embedded_) {
    // What the inode holds moves into a block, and the inode names that.
    const Node root = node(top);
    const std::uint64_t child = new_block(top, pointer_at(root, 0));
    const ChangedNode target = change_block(child, top);
    const ChangedNode source = change(top);
    const std::uint32_t entries = count(looked_at(source));
    move_entries(source, 0, target, 0, entries);
    set_count(target, entries);
    const std::vector<std::byte> keys = keys_of(looked_at(target));
    mutable_view<BmapRootHeader>(source.bytes).level = static_cast<std::uint16_t>(levels);
    set_count(source, 1);
    const ChangedNode raised{.bytes = source.bytes, .level = levels, .embedded = true};
    std::copy(keys.begin(), keys.end(), raised.bytes.begin() + key_offset(looked_at(raised), 0));
    set_pointer(raised, 0, child);
    return;
  }
  const std::uint64_t old = store_.root();
  const std::vector<std::byte> keys = keys_of(read(old, top));
  const std::uint64_t pointer = new_block(levels, old);
  const ChangedNode root = change_block(pointer, levels);
  set_count(root, 1);
  std::copy(keys.begin(), keys.end(), root.bytes.begin() + key_offset(looked_at(root), 0));
  set_pointer(root, 0, old);
  store_.set_root(pointer, levels + 1);
}

// The upper half of a full node becomes a node of its own. The parent has room.
void Btree::split(std::uint32_t level) {
  const std::uint64_t left_pointer = path_[level].pointer;
  const std::uint64_t right_pointer = new_block(level, left_pointer);
  const ChangedNode left = change_block(left_pointer, level);
  const ChangedNode right = change_block(right_pointer, level);
  const std::uint32_t entries = count(looked_at(left));
  const std::uint32_t keep = (entries + 1) / 2;
  move_entries(left, keep, right, 0, entries - keep);
  set_count(left, keep);
  set_count(right, entries - keep);
  const std::uint64_t beyond = sibling(looked_at(left), true);
  link(left_pointer, level, true, right_pointer);
  link(right_pointer, level, false, left_pointer);
  link(right_pointer, level, true, beyond);
  const std::uint64_t none = layout_.spec().pointer_bytes == 4 ? kNullAgBlock.value() : kNullFsBlock.value();
  if (beyond != none) {
    (void)read(beyond, level);
    link(beyond, level, false, right_pointer);
  }
  const std::vector<std::byte> keys = keys_of(looked_at(right));
  const ChangedNode parent = change(level + 1);
  const std::uint32_t index = path_[level + 1].index + 1;
  open_gap(parent, index);
  std::copy(keys.begin(), keys.end(), parent.bytes.begin() + key_offset(looked_at(parent), index));
  set_pointer(parent, index, right_pointer);
  refresh_keys(level);
}

// Gives half of the room that a neighbour under the same parent has to it. False when there is none.
bool Btree::shift(std::uint32_t level, bool to_left) {
  const Node parent = node(level + 1);
  const std::uint32_t index = path_[level + 1].index;
  if (to_left ? index == 0 : index + 1 >= count(parent)) return false;
  const std::uint32_t other_index = to_left ? index - 1 : index + 1;
  const std::uint64_t other_pointer = pointer_at(parent, other_index);
  const Node other = read(other_pointer, level);
  const std::uint32_t room = max_entries(other) - count(other);
  if (room < 2) return false;  // one would leave this node as full as it is
  even_out(level, std::min(index, other_index));
  return true;
}

// Makes two neighbours under the parent at level + 1 equally full and refreshes what the parents keep.
void Btree::even_out(std::uint32_t level, std::uint32_t left_index) {
  const Node parent = node(level + 1);
  const std::uint64_t left_pointer = pointer_at(parent, left_index);
  const std::uint64_t right_pointer = pointer_at(parent, left_index + 1);
  (void)read(left_pointer, level);
  (void)read(right_pointer, level);
  const ChangedNode left = change_block(left_pointer, level);
  const ChangedNode right = change_block(right_pointer, level);
  const std::uint32_t left_entries = count(looked_at(left));
  const std::uint32_t right_entries = count(looked_at(right));
  const std::uint32_t left_wanted = (left_entries + right_entries + 1) / 2;
  if (left_wanted > left_entries) {
    const std::uint32_t moved = left_wanted - left_entries;
    move_entries(right, 0, left, left_entries, moved);
    set_count(left, left_wanted);
    for (std::uint32_t i = 0; i < moved; ++i) close_gap(right, 0);
  } else {
    const std::uint32_t moved = left_entries - left_wanted;
    for (std::uint32_t i = 0; i < moved; ++i) open_gap(right, 0);
    move_entries(left, left_wanted, right, 0, moved);
    set_count(left, left_wanted);
  }
  for (const std::uint32_t index : {left_index, left_index + 1}) {
    path_[level] = {.pointer = index == left_index ? left_pointer : right_pointer, .index = 0};
    path_[level + 1].index = index;
    refresh_keys(level);
  }
}

void Btree::erase() {
  const ChangedNode leaf = change(0);
  close_gap(leaf, path_[0].index);
  if (count(looked_at(leaf)) != 0) refresh_keys(0);
  rebalance(0);
}

void Btree::rebalance(std::uint32_t level) {
  if (level + 1 == path_.size()) {
    shrink_root();
    return;
  }
  const Node here = node(level);
  if (count(here) >= layout_.min_entries(level)) return;
  const Node parent = node(level + 1);
  const std::uint32_t entries = count(parent);
  if (entries == 1) {
    // Only below a root in an inode.
    if (count(here) == 0) {
      throw CorruptionError(Errc::kBadStructure, std::string(layout_.spec().name) + ": a node has a single child");
    }
    rebalance(level + 1);
    return;
  }
  const std::uint32_t index = path_[level + 1].index;
  const std::uint32_t left_index = index == 0 ? 0 : index - 1;
  const std::uint32_t left_entries = count(read(pointer_at(parent, left_index), level));
  const std::uint32_t right_entries = count(read(pointer_at(parent, left_index + 1), level));
  if (left_entries + right_entries > layout_.max_entries(level)) {
    even_out(level, left_index);
    return;
  }
  merge(level, left_index);
  rebalance(level + 1);
}

// The right of two neighbours goes into the left.
void Btree::merge(std::uint32_t level, std::uint32_t left_index) {
  const Node parent = node(level + 1);
  const std::uint64_t left_pointer = pointer_at(parent, left_index);
  const std::uint64_t right_pointer = pointer_at(parent, left_index + 1);
  const ChangedNode left = change_block(left_pointer, level);
  const ChangedNode right = change_block(right_pointer, level);
  const std::uint32_t left_entries = count(looked_at(left));
  const std::uint32_t right_entries = count(looked_at(right));
  move_entries(right, 0, left, left_entries, right_entries);
  set_count(left, left_entries + right_entries);
  const std::uint64_t beyond = sibling(looked_at(right), true);
  link(left_pointer, level, true, beyond);
  const std::uint64_t none = layout_.spec().pointer_bytes == 4 ? kNullAgBlock.value() : kNullFsBlock.value();
  if (beyond != none) {
    (void)read(beyond, level);
    link(beyond, level, false, left_pointer);
  }
  close_gap(change(level + 1), left_index + 1);
  path_[level] = {.pointer = left_pointer, .index = 0};
  path_[level + 1].index = left_index;
  refresh_keys(level);
  remove_block(right_pointer, level);
}

void Btree::remove_block(std::uint64_t pointer, std::uint32_t /*level*/) {
  transaction_.give_up(store_.place(pointer));
  store_.release(pointer);
}

// A root with one child is replaced by it; one in an inode takes in its child's entries when they fit and are no
// records.
void Btree::shrink_root() {
  const auto top = static_cast<std::uint32_t>(path_.size()) - 1;
  if (top == 0) return;
  const Node root = node(top);
  if (count(root) != 1) return;
  const std::uint64_t child = pointer_at(root, 0);
  const Node below = read(child, top - 1);
  if (!embedded_) {
    const std::uint64_t old = store_.root();
    store_.set_root(child, top);
    remove_block(old, top);
    return;
  }
  if (top == 1 || count(below) > max_entries(root)) return;
  const ChangedNode target = change(top);
  const ChangedNode source = change_block(child, top - 1);
  const std::uint32_t entries = count(looked_at(source));
  mutable_view<BmapRootHeader>(target.bytes).level = static_cast<std::uint16_t>(top - 1);
  move_entries(source, 0, {.bytes = target.bytes, .level = top - 1, .embedded = true}, 0, entries);
  set_count(target, entries);
  remove_block(child, top - 1);
}

}  // namespace xdax
