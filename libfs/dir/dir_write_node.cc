// DirectoryWriter: blocks of entries with a tree of hashes and an index of free room.
#include <algorithm>

#include "libfs/base/error.h"
#include "libfs/dir/directory_writer.h"
#include "libfs/format/dir_free.h"
#include "libfs/format/dir_leaf.h"

namespace xdax {
namespace {

std::vector<DirLeafEntry> live_entries(ByteSpan block) {
  std::vector<DirLeafEntry> live;
  for (const DirLeafEntry& entry : dir_leaf_entries(block)) {
    if (!entry.stale()) live.push_back(entry);
  }
  return live;
}

void store_entries(MutableByteSpan block, std::span<const DirLeafEntry> entries) {
  std::fill(block.begin() + sizeof(DirLeafHeader), block.end(), std::byte{0});
  auto& header = mutable_view<DirLeafHeader>(block);
  header.count = static_cast<std::uint16_t>(entries.size());
  header.stale = std::uint16_t{0};
  const auto stored = mutable_view_array<DirLeafEntry>(block, sizeof(DirLeafHeader), entries.size());
  std::copy(entries.begin(), entries.end(), stored.begin());
}

}  // namespace

void DirectoryWriter::insert_hash(ForkWriter& fork, std::uint32_t hash, std::uint32_t address) {
  DaTreeWriter tree = this->tree(fork);
  DaTreeWriter::Path path = tree.find(hash);
  std::vector<DirLeafEntry> entries = live_entries(tree.leaf(path));
  insert_index(entries, hash, address);
  const std::size_t most = (geometry().dir_block_bytes() - sizeof(DirLeafHeader)) / sizeof(DirLeafEntry);
  if (entries.size() <= most) {
    store_entries(tree.change_leaf(path), entries);
    tree.set_hash(path, entries.back().hashval);
    return;
  }
  const std::size_t keep = entries.size() / 2;
  const std::span<const DirLeafEntry> all(entries);
  const FileBlock fresh = tree.new_leaf_behind(path);
  store_entries(tree.change_leaf(path), all.first(keep));
  store_entries(tree.change(fresh, MetadataKind::kDirLeafN), all.subspan(keep));
  tree.add_leaf(path, fresh, all[keep - 1].hashval, all.back().hashval);
}

void DirectoryWriter::erase_hash(ForkWriter& fork, std::uint32_t hash, std::uint32_t address) {
  DaTreeWriter tree = this->tree(fork);
  DaTreeWriter::Path path = tree.find(hash);
  do {
    std::vector<DirLeafEntry> entries = live_entries(tree.leaf(path));
    if (!erase_index(entries, hash, address)) continue;
    if (entries.empty() && !path.nodes.empty()) {
      tree.remove_leaf(path);
    } else {
      store_entries(tree.change_leaf(path), entries);
      if (!entries.empty()) tree.set_hash(path, entries.back().hashval);
    }
    return;
  } while (tree.next_leaf(path));
  corrupt("its index lacks a name");
}

// The first block of entries with room; where there is none, the lowest number that no block has.
DirectoryWriter::Room DirectoryWriter::find_room(ForkWriter& fork, std::uint32_t needed_bytes) {
  const std::uint32_t capacity = dir_free_capacity(geometry().dir_block_bytes());
  const FileBlock first = DirRegions::of(geometry()).free;
  const std::uint32_t blocks = data_blocks();
  Room missing{.number = blocks, .exists = false};
  for (std::uint32_t base = 0; base < blocks; base += capacity) {
    const FileBlock at = first + (std::uint64_t{base / capacity} << geometry().dir_block_log);
    if (!fork.find(at)) {
      missing.number = std::min(missing.number, base);
      continue;
    }
    const auto bests = dir_free_bests(tree(fork).read(at, MetadataKind::kDirFree));
    for (std::uint32_t i = 0; i < bests.size(); ++i) {
      if (bests[i] == kNoDataBlock) {
        missing.number = std::min(missing.number, base + i);
      } else if (bests[i] >= needed_bytes) {
        return {.number = base + i, .exists = true};
      }
    }
    if (bests.size() < capacity)
      missing.number = std::min<std::uint32_t>(missing.number, base + static_cast<std::uint32_t>(bests.size()));
  }
  return missing;
}

void DirectoryWriter::set_best(ForkWriter& fork, std::uint32_t number, std::uint16_t best) {
  const std::uint32_t capacity = dir_free_capacity(geometry().dir_block_bytes());
  const FileBlock at = DirRegions::of(geometry()).free + (std::uint64_t{number / capacity} << geometry().dir_block_log);
  if (!fork.find(at)) {
    const std::uint32_t length = 1u << geometry().dir_block_log;
    const Extent extent = fork.allocate(at, length, length);
    const BlockPlace where{.byte = geometry().byte_of(extent.start), .length_bytes = geometry().dir_block_bytes()};
    const MutableByteSpan block = transaction_.create(where, identity(at, MetadataKind::kDirFree));
    fill_info(block, DirFreeHeader::kMagic, where);
    mutable_view<DirFreeHeader>(block).firstdb = number / capacity * capacity;
  }
  const MutableByteSpan block = tree(fork).change(at, MetadataKind::kDirFree);
  auto& header = mutable_view<DirFreeHeader>(block);
  const std::uint32_t index = number % capacity;
  const auto bests = mutable_view_array<be16>(block, sizeof(DirFreeHeader), capacity);
  while (header.nvalid <= index) {
    bests[header.nvalid] = kNoDataBlock;
    header.nvalid += 1;
  }
  bests[index] = best;
  while (header.nvalid > 0 && bests[header.nvalid - 1] == kNoDataBlock) {
    bests[header.nvalid - 1] = std::uint16_t{0};
    header.nvalid -= 1;
  }
  std::uint32_t used = 0;
  for (std::uint32_t i = 0; i < header.nvalid; ++i) used += bests[i] != kNoDataBlock ? 1 : 0;
  header.nused = used;
  if (used == 0) tree(fork).free_block(at);
}

void DirectoryWriter::add_node(const NewDirEntry& entry) {
  ForkWriter fork(inode_, Fork::kData);
  const std::uint32_t needed =
      dir_data_entry_bytes(static_cast<std::uint32_t>(entry.name.size()), geometry().features.ftype());
  const Room room = find_room(fork, needed);
  if (data_file_block(room.number) >= DirRegions::of(geometry()).leaf) {
    throw RefusalError(Errc::kNoSpace, "a directory is as large as it can be");
  }
  const Placed placed = put_entry(fork, room, entry);
  insert_hash(fork, hash_of(entry.name), placed.address);
  set_best(fork, room.number, placed.best);
}

void DirectoryWriter::remove_from_node(std::string_view name, const DirItem& item) {
  ForkWriter fork(inode_, Fork::kData);
  const auto number = static_cast<std::uint32_t>(item.cookie * kDirAlignBytes / geometry().dir_block_bytes());
  erase_hash(fork, hash_of(name), static_cast<std::uint32_t>(item.cookie));
  set_best(fork, number, take_entry(fork, item));
  if (tree(fork).single_leaf()) node_to_leaf();
}

// Back to a single leaf, when that holds the hashes and what the free index says.
void DirectoryWriter::node_to_leaf() {
  ForkWriter fork(inode_, Fork::kData);
  const std::uint32_t capacity = dir_free_capacity(geometry().dir_block_bytes());
  if (data_blocks() > capacity) return;
  const DirRegions regions = DirRegions::of(geometry());
  if (!fork.find(regions.free)) corrupt("it has no index of free room");
  Leaf leaf{.entries = live_entries(tree(fork).read(regions.leaf, MetadataKind::kDirLeafN)), .bests = {}};
  for (const be16& best : dir_free_bests(tree(fork).read(regions.free, MetadataKind::kDirFree))) {
    leaf.bests.push_back(best);
  }
  if (!fits_leaf(leaf)) return;
  tree(fork).free_block(regions.free);
  const BlockPlace where = tree(fork).place(regions.leaf);
  mutable_view<DirLeafHeader>(tree(fork).change(regions.leaf, MetadataKind::kDirLeafN)).info.magic =
      DirLeafHeader::kLeaf1Magic;
  transaction_.retype(where, identity(regions.leaf, MetadataKind::kDirLeaf1));
  store_leaf(fork, leaf);
  if (leaf.bests.size() == 1) leaf_to_block();
}

}  // namespace xdax
