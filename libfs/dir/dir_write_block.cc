// DirectoryWriter: blocks of entries, and the form of one block.
#include <fmt/format.h>

#include <algorithm>

#include "libfs/base/error.h"
#include "libfs/dir/directory_writer.h"
#include "libfs/format/dir_leaf.h"

namespace xdax {

DaTreeWriter DirectoryWriter::tree(ForkWriter& fork) const {
  return {fork,
          DirRegions::of(geometry()).leaf,
          {.node = MetadataKind::kDirNode, .leaf = MetadataKind::kDirLeafN},
          1u << geometry().dir_block_log};
}

MetadataIdentity DirectoryWriter::identity(FileBlock at, MetadataKind kind) const {
  return {.kind = kind, .owner = inode_.ino(), .file_block = at};
}

void DirectoryWriter::fill_info(MutableByteSpan block, std::uint32_t magic, const BlockPlace& at) const {
  auto& info = mutable_view<DirBlockInfo>(block);
  info.magic = magic;
  info.blkno = at.byte >> kBasicBlockLog;
  info.uuid = geometry().uuid;
  info.owner = inode_.ino().value();
}

DirDataEdit DirectoryWriter::edit(ForkWriter& fork, FileBlock at, DirDataForm form) {
  const MetadataKind kind = form == DirDataForm::kBlock ? MetadataKind::kDirBlock : MetadataKind::kDirData;
  return {transaction_.change(tree(fork).place(at), identity(at, kind)), form, geometry().features.ftype()};
}

DirDataEdit DirectoryWriter::new_block(ForkWriter& fork, FileBlock at, DirDataForm form) {
  const std::uint32_t length = 1u << geometry().dir_block_log;
  const Extent extent = fork.allocate(at, length, length);
  const BlockPlace where{.byte = geometry().byte_of(extent.start), .length_bytes = geometry().dir_block_bytes()};
  const bool single = form == DirDataForm::kBlock;
  const MutableByteSpan block =
      transaction_.create(where, identity(at, single ? MetadataKind::kDirBlock : MetadataKind::kDirData));
  fill_info(block, single ? DirDataHeader::kBlockMagic : DirDataHeader::kDataMagic, where);
  DirDataEdit edit(block, form, geometry().features.ftype());
  edit.clear();
  return edit;
}

void DirectoryWriter::free_data_block(ForkWriter& fork, std::uint32_t number) {
  tree(fork).free_block(data_file_block(number));
  if (number + 1 != data_blocks()) return;
  std::uint32_t last = number;
  while (last > 0 && !fork.find(data_file_block(last - 1))) --last;
  inode_.change_core().size = std::uint64_t{last} * geometry().dir_block_bytes();
}

DirectoryWriter::Placed DirectoryWriter::put_entry(ForkWriter& fork, const Room& room, const NewDirEntry& entry) {
  const FileBlock at = data_file_block(room.number);
  DirDataEdit block = room.exists ? edit(fork, at, DirDataForm::kData) : new_block(fork, at, DirDataForm::kData);
  const auto where = block.add(entry);
  if (!where) corrupt("a block of entries has less room than its index says");
  note_data_block(room.number);
  return {.address = address_of(at, *where), .best = static_cast<std::uint16_t>(block.largest())};
}

std::uint16_t DirectoryWriter::take_entry(ForkWriter& fork, const DirItem& item) {
  const std::uint64_t byte = item.cookie * kDirAlignBytes;
  const auto number = static_cast<std::uint32_t>(byte / geometry().dir_block_bytes());
  DirDataEdit block = edit(fork, data_file_block(number), DirDataForm::kData);
  block.remove(static_cast<std::uint32_t>(byte % geometry().dir_block_bytes()));
  if (block.entries() != 0) return static_cast<std::uint16_t>(block.largest());
  free_data_block(fork, number);
  return kNoDataBlock;
}

// False when the block has no room for the entry and its place in the index.
bool DirectoryWriter::add_block(const NewDirEntry& entry) {
  ForkWriter fork(inode_, Fork::kData);
  const BlockPlace where = tree(fork).place(FileBlock(0));
  const MutableByteSpan block = transaction_.change(where, identity(FileBlock(0), MetadataKind::kDirBlock));
  std::vector<std::byte> trial(block.begin(), block.end());
  DirDataEdit edit(trial, DirDataForm::kBlock, geometry().features.ftype());
  std::vector<DirLeafEntry> index = edit.index();
  edit.set_index(index);  // without the stale ones
  const auto at = edit.add(entry);
  if (!at || !edit.can_index(index.size() + 1)) return false;
  insert_index(index, hash_of(entry.name), address_of(FileBlock(0), *at));
  edit.set_index(index);
  std::copy(trial.begin(), trial.end(), block.begin());
  return true;
}

void DirectoryWriter::remove_from_block(std::string_view name, const DirItem& item) {
  ForkWriter fork(inode_, Fork::kData);
  DirDataEdit block = edit(fork, FileBlock(0), DirDataForm::kBlock);
  std::vector<DirLeafEntry> index = block.index();
  if (!erase_index(index, hash_of(name), static_cast<std::uint32_t>(item.cookie))) corrupt("its index lacks a name");
  block.remove(static_cast<std::uint32_t>(item.cookie * kDirAlignBytes));
  block.set_index(index);
  block_to_short();
}

// Back into the inode, when it has room.
void DirectoryWriter::block_to_short() {
  Directory directory = reader();
  Short content;
  std::size_t size = sizeof(be64) + 2;
  for (const DirItem& item : directory.read(0).items) {
    if (item.name == "..") content.parent = item.ino;
    if (item.dots()) continue;
    size += item.name.size() + 8;
    content.entries.push_back({.name = item.name,
                               .ino = item.ino,
                               .type = item.type,
                               .tag = static_cast<std::uint32_t>(item.cookie * kDirAlignBytes)});
  }
  const ForkArea area = fork_area(inode_.core(), geometry().inode_bytes, Fork::kData);
  // The least an entry takes: nothing is tried that cannot be.
  if (size > area.size_bytes + 4) return;
  const std::vector<std::byte> before(inode_.bytes().begin(), inode_.bytes().end());
  {
    ForkWriter fork(inode_, Fork::kData);
    const MutableByteSpan bytes = inode_.change();
    // Whether it fits shows when it is stored: on a copy of the fork's bytes.
    if (!store_short(content)) {
      std::copy(before.begin(), before.end(), bytes.begin());
      return;
    }
    std::copy(before.begin(), before.end(), bytes.begin());
    tree(fork).free_block(FileBlock(0));
  }
  inode_.change_core().format = static_cast<std::uint8_t>(ForkFormat::kLocal);
  (void)store_short(content);  // it fitted before
}

void DirectoryWriter::block_to_leaf() {
  ForkWriter fork(inode_, Fork::kData);
  const BlockPlace where = tree(fork).place(FileBlock(0));
  DirDataEdit block = edit(fork, FileBlock(0), DirDataForm::kBlock);
  Leaf leaf{.entries = block.index(), .bests = {}};
  block.drop_index();
  mutable_view<DirBlockInfo>(transaction_.change(where, identity(FileBlock(0), MetadataKind::kDirBlock))).magic =
      DirDataHeader::kDataMagic;
  transaction_.retype(where, identity(FileBlock(0), MetadataKind::kDirData));
  leaf.bests.push_back(static_cast<std::uint16_t>(block.largest()));
  (void)tree(fork).create(DirRegions::of(geometry()).leaf, MetadataKind::kDirLeaf1, DirLeafHeader::kLeaf1Magic);
  store_leaf(fork, leaf);
}

}  // namespace xdax
