// DirectoryWriter: blocks of entries with a single leaf of hashes.
#include <algorithm>

#include "libfs/base/error.h"
#include "libfs/dir/directory_writer.h"
#include "libfs/format/dir_free.h"
#include "libfs/format/dir_leaf.h"

namespace xdax {

DirectoryWriter::Leaf DirectoryWriter::read_leaf(ForkWriter& fork) {
  const ByteSpan block = tree(fork).read(DirRegions::of(geometry()).leaf, MetadataKind::kDirLeaf1);
  Leaf leaf;
  for (const DirLeafEntry& entry : dir_leaf_entries(block)) {
    if (!entry.stale()) leaf.entries.push_back(entry);
  }
  for (const be16& best : dir_leaf_bests(block)) leaf.bests.push_back(best);
  return leaf;
}

bool DirectoryWriter::fits_leaf(const Leaf& leaf) const {
  return sizeof(DirLeafHeader) + leaf.entries.size() * sizeof(DirLeafEntry) + leaf.bests.size() * sizeof(be16) +
             sizeof(DirLeafTail) <=
         geometry().dir_block_bytes();
}

void DirectoryWriter::store_leaf(ForkWriter& fork, const Leaf& leaf) {
  const MutableByteSpan block = tree(fork).change(DirRegions::of(geometry()).leaf, MetadataKind::kDirLeaf1);
  std::fill(block.begin() + sizeof(DirLeafHeader), block.end(), std::byte{0});
  auto& header = mutable_view<DirLeafHeader>(block);
  header.count = static_cast<std::uint16_t>(leaf.entries.size());
  header.stale = std::uint16_t{0};
  const auto entries = mutable_view_array<DirLeafEntry>(block, sizeof(DirLeafHeader), leaf.entries.size());
  std::copy(leaf.entries.begin(), leaf.entries.end(), entries.begin());
  const std::size_t tail = block.size() - sizeof(DirLeafTail);
  mutable_view<DirLeafTail>(block, tail).bestcount = static_cast<std::uint32_t>(leaf.bests.size());
  const auto bests = mutable_view_array<be16>(block, tail - leaf.bests.size() * sizeof(be16), leaf.bests.size());
  for (std::size_t i = 0; i < leaf.bests.size(); ++i) bests[i] = leaf.bests[i];
}

// False when the leaf has no room for another hash; nothing is changed then.
bool DirectoryWriter::add_leaf(const NewDirEntry& entry) {
  ForkWriter fork(inode_, Fork::kData);
  Leaf leaf = read_leaf(fork);
  const std::uint32_t needed =
      dir_data_entry_bytes(static_cast<std::uint32_t>(entry.name.size()), geometry().features.ftype());
  Room room{.number = static_cast<std::uint32_t>(leaf.bests.size()), .exists = false};
  for (std::uint32_t i = 0; i < leaf.bests.size(); ++i) {
    if (leaf.bests[i] == kNoDataBlock) {
      if (!room.exists) room.number = std::min(room.number, i);
    } else if (leaf.bests[i] >= needed) {
      room = {.number = i, .exists = true};
      break;
    }
  }
  if (room.number == leaf.bests.size()) leaf.bests.push_back(0);
  insert_index(leaf.entries, hash_of(entry.name), 1);  // its address follows
  if (!fits_leaf(leaf)) return false;
  const Placed placed = put_entry(fork, room, entry);
  (void)erase_index(leaf.entries, hash_of(entry.name), 1);
  insert_index(leaf.entries, hash_of(entry.name), placed.address);
  leaf.bests[room.number] = placed.best;
  store_leaf(fork, leaf);
  return true;
}

void DirectoryWriter::remove_from_leaf(std::string_view name, const DirItem& item) {
  ForkWriter fork(inode_, Fork::kData);
  Leaf leaf = read_leaf(fork);
  if (!erase_index(leaf.entries, hash_of(name), static_cast<std::uint32_t>(item.cookie)))
    corrupt("its index lacks a name");
  const std::uint64_t number = item.cookie * kDirAlignBytes / geometry().dir_block_bytes();
  if (number >= leaf.bests.size()) corrupt("its index lacks a block");
  leaf.bests[number] = take_entry(fork, item);
  while (leaf.bests.size() > 1 && leaf.bests.back() == kNoDataBlock) leaf.bests.pop_back();
  store_leaf(fork, leaf);
  if (leaf.bests.size() == 1) leaf_to_block();
}

// Back to one block, when entries and index fit it where they are.
void DirectoryWriter::leaf_to_block() {
  ForkWriter fork(inode_, Fork::kData);
  const Leaf leaf = read_leaf(fork);
  DirDataEdit block = edit(fork, FileBlock(0), DirDataForm::kData);
  if (!block.can_index(leaf.entries.size())) return;
  const BlockPlace where = tree(fork).place(FileBlock(0));
  block.make_index(leaf.entries);
  mutable_view<DirBlockInfo>(transaction_.change(where, identity(FileBlock(0), MetadataKind::kDirData))).magic =
      DirDataHeader::kBlockMagic;
  transaction_.retype(where, identity(FileBlock(0), MetadataKind::kDirBlock));
  tree(fork).free_block(DirRegions::of(geometry()).leaf);
  block_to_short();
}

void DirectoryWriter::leaf_to_node() {
  ForkWriter fork(inode_, Fork::kData);
  const Leaf leaf = read_leaf(fork);
  const FileBlock at = DirRegions::of(geometry()).leaf;
  const BlockPlace where = tree(fork).place(at);
  const MutableByteSpan block = tree(fork).change(at, MetadataKind::kDirLeaf1);
  std::fill(block.begin() + sizeof(DirLeafHeader), block.end(), std::byte{0});
  auto& header = mutable_view<DirLeafHeader>(block);
  header.info.magic = DirLeafHeader::kLeafNMagic;
  header.count = static_cast<std::uint16_t>(leaf.entries.size());
  header.stale = std::uint16_t{0};
  const auto entries = mutable_view_array<DirLeafEntry>(block, sizeof(DirLeafHeader), leaf.entries.size());
  std::copy(leaf.entries.begin(), leaf.entries.end(), entries.begin());
  transaction_.retype(where, identity(at, MetadataKind::kDirLeafN));
  for (std::uint32_t i = 0; i < leaf.bests.size(); ++i) set_best(fork, i, leaf.bests[i]);
}

}  // namespace xdax
