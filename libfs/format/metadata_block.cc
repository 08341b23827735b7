#include "libfs/format/metadata_block.h"

#include "libfs/format/agf.h"
#include "libfs/format/agfl.h"
#include "libfs/format/agi.h"
#include "libfs/format/attr_leaf.h"
#include "libfs/format/da_node.h"
#include "libfs/format/dir_data.h"
#include "libfs/format/dir_free.h"
#include "libfs/format/dir_leaf.h"
#include "libfs/format/inode.h"
#include "libfs/format/remote_block.h"
#include "libfs/format/superblock.h"

namespace xdax {
namespace {

std::optional<BtreeKind> short_tree(MetadataKind kind) {
  switch (kind) {
    case MetadataKind::kBno:
      return BtreeKind::kBno;
    case MetadataKind::kCnt:
      return BtreeKind::kCnt;
    case MetadataKind::kInobt:
      return BtreeKind::kInobt;
    case MetadataKind::kFinobt:
      return BtreeKind::kFinobt;
    case MetadataKind::kRmap:
      return BtreeKind::kRmap;
    case MetadataKind::kRefcount:
      return BtreeKind::kRefcount;
    default:
      return std::nullopt;
  }
}

// Below a root there are at least two blocks on every level, so that only a root has no siblings.
bool is_root(ByteSpan bytes) {
  const auto& header = view<ShortBtreeHeader>(bytes);
  return header.leftsib == kNullAgBlock.value() && header.rightsib == kNullAgBlock.value();
}

Flaws verify_cluster(ByteSpan bytes, const Geometry& geometry, std::uint64_t byte) {
  Flaws flaws;
  const FsBlock block = fs_block_of_byte(geometry, byte);
  const AgInode first = geometry.first_inode_of(geometry.ag_block_of(block));
  for (std::uint32_t i = 0; (i + 1) * std::size_t{geometry.inode_bytes} <= bytes.size(); ++i) {
    const ByteSpan inode = bytes.subspan(i * std::size_t{geometry.inode_bytes}, geometry.inode_bytes);
    flaws.add_all(verify_inode(inode, geometry, {.ino = geometry.inode_number(geometry.ag_of(block), first + i)}));
  }
  return flaws;
}

// A target's pieces each know their place in it, which only the inode can check.
Flaws verify_symlink_piece(ByteSpan bytes, const Geometry& geometry, FsBlock block, InodeNumber owner) {
  const auto& header = view<RemoteHeader>(bytes);
  return verify_symlink_remote(bytes, geometry,
                               {.owner = owner,
                                .block = block,
                                .offset_bytes = header.offset,
                                .value_bytes = header.offset.get() + header.bytes.get()});
}

}  // namespace

const char* to_string(MetadataKind kind) {
  switch (kind) {
    case MetadataKind::kSuperblock:
      return "superblock";
    case MetadataKind::kAgf:
      return "agf";
    case MetadataKind::kAgi:
      return "agi";
    case MetadataKind::kAgfl:
      return "agfl";
    case MetadataKind::kDataMap:
      return "extent map";
    case MetadataKind::kAttrMap:
      return "extent map of attributes";
    case MetadataKind::kInodes:
      return "inode cluster";
    case MetadataKind::kDirBlock:
    case MetadataKind::kDirData:
    case MetadataKind::kDirFree:
    case MetadataKind::kDirLeaf1:
    case MetadataKind::kDirLeafN:
    case MetadataKind::kDirNode:
      return "directory block";
    case MetadataKind::kAttrLeaf:
    case MetadataKind::kAttrNode:
      return "attribute block";
    case MetadataKind::kSymlink:
      return "symbolic link";
    default:
      return btree_spec(*short_tree(kind)).name;
  }
}

MetadataKind metadata_kind(BtreeKind kind) {
  switch (kind) {
    case BtreeKind::kBno:
      return MetadataKind::kBno;
    case BtreeKind::kCnt:
      return MetadataKind::kCnt;
    case BtreeKind::kInobt:
      return MetadataKind::kInobt;
    case BtreeKind::kFinobt:
      return MetadataKind::kFinobt;
    case BtreeKind::kRmap:
      return MetadataKind::kRmap;
    case BtreeKind::kRefcount:
      return MetadataKind::kRefcount;
    case BtreeKind::kBmap:
      break;
  }
  return MetadataKind::kDataMap;
}

FsBlock fs_block_of_byte(const Geometry& geometry, std::uint64_t byte) {
  const std::uint64_t block = byte >> geometry.block_log;
  return geometry.fs_block(ag_of_byte(geometry, byte), AgBlock(static_cast<std::uint32_t>(block % geometry.ag_blocks)));
}

AgNumber ag_of_byte(const Geometry& geometry, std::uint64_t byte) {
  return AgNumber(static_cast<std::uint32_t>((byte >> geometry.block_log) / geometry.ag_blocks));
}

Flaws verify_metadata(ByteSpan bytes, const Geometry& geometry, std::uint64_t byte, const MetadataIdentity& identity) {
  const AgNumber ag = ag_of_byte(geometry, byte);
  const FsBlock block = fs_block_of_byte(geometry, byte);
  const DaExpectation da{.owner = identity.owner, .block = block, .file_block = identity.file_block};
  switch (identity.kind) {
    case MetadataKind::kSuperblock:
      return verify_superblock(bytes, {.ag = ag});
    case MetadataKind::kAgf:
      return verify_agf(bytes, geometry, ag);
    case MetadataKind::kAgi:
      return verify_agi(bytes, geometry, ag);
    case MetadataKind::kAgfl:
      return verify_agfl(bytes, geometry, ag, {});
    case MetadataKind::kDataMap:
    case MetadataKind::kAttrMap:
      return verify_long_btree_block(bytes, geometry,
                                     {.block = block,
                                      .owner = identity.owner,
                                      .level = {},
                                      .attribute_fork = identity.kind == MetadataKind::kAttrMap});
    case MetadataKind::kInodes:
      return verify_cluster(bytes, geometry, byte);
    case MetadataKind::kDirBlock:
      return verify_dir_data(bytes, geometry, DirDataForm::kBlock, da);
    case MetadataKind::kDirData:
      return verify_dir_data(bytes, geometry, DirDataForm::kData, da);
    case MetadataKind::kDirFree:
      return verify_dir_free(bytes, geometry, da);
    case MetadataKind::kDirLeaf1:
      return verify_dir_leaf(bytes, geometry, DirLeafForm::kLeaf1, da);
    case MetadataKind::kDirLeafN:
      return verify_dir_leaf(bytes, geometry, DirLeafForm::kLeafN, da);
    case MetadataKind::kDirNode:
      return verify_da_node(bytes, geometry, Fork::kData, da, {});
    case MetadataKind::kAttrLeaf:
      return verify_attr_leaf(bytes, geometry, da);
    case MetadataKind::kAttrNode:
      return verify_da_node(bytes, geometry, Fork::kAttr, da, {});
    case MetadataKind::kSymlink:
      return verify_symlink_piece(bytes, geometry, block, identity.owner);
    default:
      return verify_short_btree_block(bytes, geometry,
                                      {.kind = *short_tree(identity.kind),
                                       .ag = ag,
                                       .block = geometry.ag_block_of(block),
                                       .level = {},
                                       .root = is_root(bytes)});
  }
}

}  // namespace xdax
