#include "libfs/da/da_tree_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "libfs/base/error.h"
#include "libfs/da/da_reader.h"
#include "libfs/format/attr_leaf.h"
#include "libfs/format/block_stamp.h"
#include "libfs/format/dir_data.h"
#include "libfs/format/dir_free.h"
#include "libfs/format/dir_leaf.h"

namespace xdax {
namespace {

DaNodeHeader& node_header(MutableByteSpan block) { return mutable_view<DaNodeHeader>(block); }

DaNodeEntry entry_of(std::uint32_t hash, FileBlock child) {
  DaNodeEntry entry;
  entry.hashval = hash;
  entry.before = static_cast<std::uint32_t>(child.value());
  return entry;
}

std::span<DaNodeEntry> node_entries(MutableByteSpan block, std::uint32_t count) {
  return mutable_view_array<DaNodeEntry>(block, sizeof(DaNodeHeader), count);
}

std::uint16_t leaf_magic(MetadataKind kind) {
  return kind == MetadataKind::kAttrLeaf ? AttrLeafHeader::kMagic : DirLeafHeader::kLeafNMagic;
}

// Of a directory's block, by its magic.
std::optional<MetadataKind> kind_of(ByteSpan block) {
  switch (view<be32>(block).get()) {
    case DirDataHeader::kBlockMagic:
      return MetadataKind::kDirBlock;
    case DirDataHeader::kDataMagic:
      return MetadataKind::kDirData;
    case DirFreeHeader::kMagic:
      return MetadataKind::kDirFree;
    default:
      break;
  }
  switch (view<DaBlockInfo>(block).magic.get()) {
    case DirLeafHeader::kLeaf1Magic:
      return MetadataKind::kDirLeaf1;
    case DirLeafHeader::kLeafNMagic:
      return MetadataKind::kDirLeafN;
    case DaNodeHeader::kMagic:
      return MetadataKind::kDirNode;
    default:
      return std::nullopt;
  }
}

be64& mutable_blkno_of(MutableByteSpan block) {
  const std::optional<MetadataKind> kind = kind_of(block);
  const bool data = kind == MetadataKind::kDirBlock || kind == MetadataKind::kDirData || kind == MetadataKind::kDirFree;
  return mutable_view<be64>(block, data ? offsetof(DirBlockInfo, blkno) : offsetof(DaBlockInfo, blkno));
}

}  // namespace

DaTreeWriter::DaTreeWriter(ForkWriter& fork, FileBlock root, Kinds kinds, std::uint32_t block_length)
    : fork_(fork), root_(root), kinds_(kinds), block_length_(block_length) {}

void DaTreeWriter::corrupt(const char* what) const {
  throw CorruptionError(Errc::kBadStructure,
                        fmt::format("{}: inode {}: {}", fork_.inode().transaction().journal().device().name(),
                                    fork_.inode().ino().value(), what));
}

MetadataIdentity DaTreeWriter::identity(FileBlock at, MetadataKind kind) const {
  return {.kind = kind, .owner = fork_.inode().ino(), .file_block = at};
}

BlockPlace DaTreeWriter::place(FileBlock at) {
  const Geometry& geometry = fork_.inode().geometry();
  auto extent = fork_.find(at);
  if (!extent) corrupt("its hash tree names a block that it does not have");
  std::uint64_t into = at - extent->file_block;
  if (into + block_length_ > extent->length_blocks) {
    extent = bring_together(at);
    into = 0;
  }
  return {.byte = geometry.byte_of(extent->start + into), .length_bytes = block_length_ << geometry.block_log};
}

// A block of a directory may lie in several pieces, where a kernel found no room for it in one. Nothing else here knows
// of that: such a block moves to where it lies in one before it is looked at.
Extent DaTreeWriter::bring_together(FileBlock at) {
  const InodeEdit& inode = fork_.inode();
  Transaction& transaction = inode.transaction();
  const MetadataReader reader(transaction.view(), inode.geometry());
  DaBlock old = DaReader(reader, InodeReader(reader).read(inode.ino()), fork_.fork(), "directory").read(at);
  const std::optional<MetadataKind> kind = kind_of(old.bytes);
  // The rest is verified at the commit, where these two are right by then.
  const auto stamp = stamp_of(old.bytes);
  if (!kind || !stamp || !stamp->whole(old.bytes) ||
      mutable_blkno_of(old.bytes) != inode.geometry().byte_of(old.first) >> kBasicBlockLog) {
    corrupt("a directory block in several pieces is damaged");
  }
  fork_.free(at, block_length_);
  const Extent extent = fork_.allocate(at, block_length_, block_length_);
  const BlockPlace place{.byte = inode.geometry().byte_of(extent.start),
                         .length_bytes = block_length_ << inode.geometry().block_log};
  const MutableByteSpan bytes = transaction.create(place, identity(at, *kind));
  std::copy(old.bytes.begin(), old.bytes.end(), bytes.begin());
  mutable_blkno_of(bytes) = place.byte >> kBasicBlockLog;
  return extent;
}

ByteSpan DaTreeWriter::read(FileBlock at, MetadataKind kind) {
  return fork_.inode().transaction().read(place(at), identity(at, kind));
}

MutableByteSpan DaTreeWriter::change(FileBlock at, MetadataKind kind) {
  return fork_.inode().transaction().change(place(at), identity(at, kind));
}

// The only block of which nothing above says what it is.
bool DaTreeWriter::root_is_node() {
  std::vector<std::byte> start(kBasicBlockBytes);
  fork_.inode().transaction().view().read(place(root_).byte, start);
  return view<DaBlockInfo>(start).magic == DaNodeHeader::kMagic;
}

std::uint32_t DaTreeWriter::most_entries() const {
  return static_cast<std::uint32_t>(((block_length_ << fork_.inode().geometry().block_log) - sizeof(DaNodeHeader)) /
                                    sizeof(DaNodeEntry));
}

DaTreeWriter::Path DaTreeWriter::find(std::uint32_t hash) {
  Path path{.nodes = {}, .leaf = root_};
  if (!root_is_node()) return path;
  FileBlock at = root_;
  std::uint32_t above = limits::kMaxDaLevels + 1;
  for (;;) {
    const ByteSpan block = read(at, kinds_.node);
    const std::uint32_t level = view<DaNodeHeader>(block).level;
    if (level == 0 || level >= above) corrupt("its hash tree does not descend");
    above = level;
    const auto entries = da_node_entries(block);
    if (entries.empty()) corrupt("its hash tree has an empty node");
    const auto found =
        std::lower_bound(entries.begin(), entries.end(), hash,
                         [](const DaNodeEntry& left, std::uint32_t right) { return left.hashval < right; });
    const auto index =
        static_cast<std::uint32_t>(found == entries.end() ? entries.size() - 1 : found - entries.begin());
    path.nodes.push_back({.block = at, .index = index});
    at = FileBlock(entries[index].before);
    if (level == 1) break;
  }
  path.leaf = at;
  return path;
}

// The lowest place at or behind the root where the fork maps nothing.
FileBlock DaTreeWriter::free_file_block() {
  FileBlock at = root_;
  while (const auto extent = fork_.next(at)) {
    if (extent->file_block >= at + block_length_) break;
    const std::uint64_t end = extent->file_block.value() + extent->length_blocks;
    at = FileBlock(root_.value() + (end - root_.value() + block_length_ - 1) / block_length_ * block_length_);
  }
  if (!valid_da_block(fork_.inode().geometry(), fork_.fork(), static_cast<std::uint32_t>(at.value()))) {
    throw RefusalError(Errc::kNoSpace,
                       fmt::format("inode {}: its hash tree is as large as it can be", fork_.inode().ino().value()));
  }
  return at;
}

MutableByteSpan DaTreeWriter::create(FileBlock at, MetadataKind kind, std::uint16_t magic) {
  const Extent extent = fork_.allocate(at, block_length_, block_length_);
  const Geometry& geometry = fork_.inode().geometry();
  const BlockPlace where{.byte = geometry.byte_of(extent.start), .length_bytes = block_length_ << geometry.block_log};
  const MutableByteSpan block = fork_.inode().transaction().create(where, identity(at, kind));
  auto& info = mutable_view<DaBlockInfo>(block);
  info.magic = magic;
  info.blkno = where.byte >> kBasicBlockLog;
  info.uuid = geometry.uuid;
  info.owner = fork_.inode().ino().value();
  return block;
}

void DaTreeWriter::free_block(FileBlock at) {
  fork_.inode().transaction().give_up(place(at));
  fork_.free(at, block_length_);
}

// The root's content gets a block of its own, and the root becomes a node above it.
void DaTreeWriter::move_root(Path& path) {
  const bool was_leaf = path.nodes.empty();
  const MetadataKind kind = was_leaf ? kinds_.leaf : kinds_.node;
  const FileBlock away = free_file_block();
  const MutableByteSpan copy = create(away, kind, was_leaf ? leaf_magic(kinds_.leaf) : DaNodeHeader::kMagic);
  const MutableByteSpan root = change(root_, kind);
  const be64 blkno = view<DaBlockInfo>(copy).blkno;
  std::copy(root.begin(), root.end(), copy.begin());
  mutable_view<DaBlockInfo>(copy).blkno = blkno;
  const std::uint16_t level = was_leaf ? 0 : view<DaNodeHeader>(root).level.get();
  const std::uint32_t greatest = was_leaf ? 0 : da_node_entries(root).back().hashval.get();
  const DaBlockInfo info = view<DaBlockInfo>(root);
  std::fill(root.begin(), root.end(), std::byte{0});
  fork_.inode().transaction().retype(place(root_), identity(root_, kinds_.node));
  DaNodeHeader& header = node_header(root);
  header.info = info;
  header.info.magic = DaNodeHeader::kMagic;
  header.info.forw = 0u;
  header.info.back = 0u;
  header.level = static_cast<std::uint16_t>(level + 1);
  header.count = std::uint16_t{1};
  node_entries(root, 1)[0] = entry_of(greatest, away);
  if (header.level > limits::kMaxDaLevels) {
    throw RefusalError(Errc::kNoSpace,
                       fmt::format("inode {}: its hash tree is as high as it can be", fork_.inode().ino().value()));
  }
  if (was_leaf) {
    path.leaf = away;
  } else {
    path.nodes.front().block = away;
  }
  path.nodes.insert(path.nodes.begin(), Step{.block = root_, .index = 0});
}

FileBlock DaTreeWriter::new_leaf_behind(Path& path) {
  if (path.nodes.empty()) move_root(path);
  const FileBlock fresh = free_file_block();
  auto& info = mutable_view<DaBlockInfo>(create(fresh, kinds_.leaf, leaf_magic(kinds_.leaf)));
  auto& before = mutable_view<DaBlockInfo>(change(path.leaf, kinds_.leaf));
  const std::uint32_t beyond = before.forw;
  info.forw = beyond;
  info.back = static_cast<std::uint32_t>(path.leaf.value());
  before.forw = static_cast<std::uint32_t>(fresh.value());
  if (beyond != 0) {
    mutable_view<DaBlockInfo>(change(FileBlock(beyond), kinds_.leaf)).back = static_cast<std::uint32_t>(fresh.value());
  }
  return fresh;
}

void DaTreeWriter::add_leaf(Path& path, FileBlock fresh, std::uint32_t hash, std::uint32_t fresh_hash) {
  const Step& last = path.nodes.back();
  const std::uint32_t recorded = da_node_entries(read(last.block, kinds_.node))[last.index].hashval;
  // Each turn changes the form of the tree once and finds the way anew.
  while (full(path.nodes.back().block)) {
    make_room(path, path.nodes.size() - 1);
    path = path_to(path.leaf, recorded);
  }
  set_hash(path, hash);
  insert_entry(path, path.nodes.size() - 1, entry_of(fresh_hash, fresh));
}

bool DaTreeWriter::full(FileBlock node) { return view<DaNodeHeader>(read(node, kinds_.node)).count >= most_entries(); }

// The way to a leaf whose entry has `hash`; leaves before it may have the same.
DaTreeWriter::Path DaTreeWriter::path_to(FileBlock leaf, std::uint32_t hash) {
  Path path = find(hash);
  while (path.leaf != leaf) {
    if (!next_leaf(path)) corrupt("its hash tree lost a leaf");
  }
  return path;
}

bool DaTreeWriter::next_leaf(Path& path) {
  for (std::size_t depth = path.nodes.size(); depth-- > 0;) {
    if (path.nodes[depth].index + 1 >= da_node_entries(read(path.nodes[depth].block, kinds_.node)).size()) continue;
    ++path.nodes[depth].index;
    for (;; ++depth) {
      const auto entries = da_node_entries(read(path.nodes[depth].block, kinds_.node));
      const FileBlock below{entries[path.nodes[depth].index].before};
      if (depth + 1 == path.nodes.size()) {
        path.leaf = below;
        return true;
      }
      path.nodes[depth + 1] = {.block = below, .index = 0};
    }
  }
  return false;
}

// The node at `depth` is full: it is split, or one above it is, or the root moves.
void DaTreeWriter::make_room(const Path& path, std::size_t depth) {
  if (depth == 0) {
    Path root{.nodes = {path.nodes.front()}, .leaf = {}};
    move_root(root);
  } else if (full(path.nodes[depth - 1].block)) {
    make_room(path, depth - 1);
  } else {
    split_node(path, depth);
  }
}

// Adds an entry behind the one that the path follows in the node at `depth`, which has room.
void DaTreeWriter::insert_entry(const Path& path, std::size_t depth, DaNodeEntry entry) {
  const Step& step = path.nodes[depth];
  const MutableByteSpan block = change(step.block, kinds_.node);
  const std::uint32_t count = node_header(block).count;
  const auto entries = node_entries(block, count + 1);
  std::move_backward(entries.begin() + step.index + 1, entries.begin() + count, entries.end());
  entries[step.index + 1] = entry;
  node_header(block).count = static_cast<std::uint16_t>(count + 1);
  if (step.index + 1 != count) return;
  const Path above{.nodes = {path.nodes.begin(), path.nodes.begin() + static_cast<std::ptrdiff_t>(depth)},
                   .leaf = step.block};
  set_hash(above, entry.hashval);
}

// The upper half of a node goes to a new one behind it. The node is not the root, and its parent has room.
void DaTreeWriter::split_node(const Path& path, std::size_t depth) {
  const FileBlock fresh = free_file_block();
  const MutableByteSpan right = create(fresh, kinds_.node, DaNodeHeader::kMagic);
  const FileBlock left_at = path.nodes[depth].block;
  const MutableByteSpan left = change(left_at, kinds_.node);
  const std::uint32_t count = node_header(left).count;
  const std::uint32_t keep = count / 2;
  const auto all = node_entries(left, count);
  std::copy(all.begin() + keep, all.end(), node_entries(right, count - keep).begin());
  const std::uint32_t left_hash = all[keep - 1].hashval;
  const std::uint32_t right_hash = all[count - 1].hashval;
  std::fill(all.begin() + keep, all.end(), DaNodeEntry{});
  node_header(right).count = static_cast<std::uint16_t>(count - keep);
  node_header(right).level = node_header(left).level;
  node_header(left).count = static_cast<std::uint16_t>(keep);
  const std::uint32_t beyond = node_header(left).info.forw;
  node_header(right).info.forw = beyond;
  node_header(right).info.back = static_cast<std::uint32_t>(left_at.value());
  node_header(left).info.forw = static_cast<std::uint32_t>(fresh.value());
  if (beyond != 0) {
    mutable_view<DaBlockInfo>(change(FileBlock(beyond), kinds_.node)).back = static_cast<std::uint32_t>(fresh.value());
  }
  const Path above{.nodes = {path.nodes.begin(), path.nodes.begin() + static_cast<std::ptrdiff_t>(depth)},
                   .leaf = left_at};
  set_hash(above, left_hash);
  insert_entry(above, depth - 1, entry_of(right_hash, fresh));
}

void DaTreeWriter::set_hash(const Path& path, std::uint32_t hash) {
  for (std::size_t up = path.nodes.size(); up-- > 0;) {
    const Step& step = path.nodes[up];
    const auto entries = da_node_entries(read(step.block, kinds_.node));
    if (entries[step.index].hashval != hash) {
      node_entries(change(step.block, kinds_.node), step.index + 1)[step.index].hashval = hash;
    }
    if (step.index + 1 != entries.size()) return;
  }
}

void DaTreeWriter::unlink(FileBlock at, MetadataKind kind) {
  const DaBlockInfo info = view<DaBlockInfo>(read(at, kind));
  if (info.back != 0) mutable_view<DaBlockInfo>(change(FileBlock(info.back), kind)).forw = info.forw;
  if (info.forw != 0) mutable_view<DaBlockInfo>(change(FileBlock(info.forw), kind)).back = info.back;
}

void DaTreeWriter::remove_leaf(const Path& path) {
  XDAX_ASSERT(!path.nodes.empty());
  unlink(path.leaf, kinds_.leaf);
  free_block(path.leaf);
  remove_entry(path, path.nodes.size() - 1);
  pull_up_root();
}

void DaTreeWriter::remove_entry(const Path& path, std::size_t depth) {
  const Step& step = path.nodes[depth];
  const MutableByteSpan block = change(step.block, kinds_.node);
  const std::uint32_t count = node_header(block).count;
  const auto entries = node_entries(block, count);
  std::move(entries.begin() + step.index + 1, entries.end(), entries.begin() + step.index);
  entries[count - 1] = DaNodeEntry{};
  node_header(block).count = static_cast<std::uint16_t>(count - 1);
  if (count == 1) {
    if (depth == 0) corrupt("its hash tree has no leaf");
    unlink(step.block, kinds_.node);
    free_block(step.block);
    remove_entry(path, depth - 1);
    return;
  }
  if (step.index + 1 != count) return;
  const Path above{.nodes = {path.nodes.begin(), path.nodes.begin() + static_cast<std::ptrdiff_t>(depth)},
                   .leaf = step.block};
  set_hash(above, entries[count - 2].hashval);
}

// A root with one child becomes that child.
void DaTreeWriter::pull_up_root() {
  while (root_is_node()) {
    const ByteSpan root = read(root_, kinds_.node);
    const auto entries = da_node_entries(root);
    if (entries.size() != 1) return;
    const FileBlock child{entries[0].before};
    const MetadataKind kind = view<DaNodeHeader>(root).level == 1 ? kinds_.leaf : kinds_.node;
    const ByteSpan content = read(child, kind);
    const MutableByteSpan target = change(root_, kinds_.node);
    const be64 blkno = view<DaBlockInfo>(target).blkno;
    std::copy(content.begin(), content.end(), target.begin());
    auto& info = mutable_view<DaBlockInfo>(target);
    info.blkno = blkno;
    info.forw = 0u;
    info.back = 0u;
    fork_.inode().transaction().retype(place(root_), identity(root_, kind));
    free_block(child);
  }
}

}  // namespace xdax
