// Hostile files, the input that fuzz targets of whole files share: an inode and the blocks its forks map.
//
//   byte 0: bit 0 the identity of the inode and the blocks is put right, bit 1 checksums too; the rest is the target's
//   512 bytes: the inode     then: blocks of 1 KiB, which lie from block 64 of the first group on
//
// So the fuzzer gets past checksums and owners at will.
#pragma once

#include <memory>

#include "libfs/base/crc32c.h"
#include "libfs/device/memory_device.h"
#include "libfs/format/attr_leaf.h"
#include "libfs/format/btree_block.h"
#include "libfs/format/da_node.h"
#include "libfs/format/dir_data.h"
#include "libfs/format/dir_free.h"
#include "libfs/format/dir_leaf.h"
#include "libfs/format/inode.h"
#include "libfs/format/remote_block.h"
#include "tests/fuzz/fuzz_geometry.h"

namespace xdax::fuzz {

struct HostileFile {
  std::uint8_t choice = 0;
  InodeNumber ino;
  Bytes inode;
  std::unique_ptr<MemoryDevice> device;  ///< holds the blocks, and the inode in its place
};

// Gives a block the identity and the checksum of what its magic says it is.
inline void put_right(MutableByteSpan block, const Geometry& geometry, FsBlock address, InodeNumber ino,
                      bool checksum) {
  const std::uint64_t place = geometry.disk_address(address).value();
  const auto header = [&]<class T>(std::type_identity<T>, std::size_t bytes, std::size_t crc) {
    auto& info = mutable_view<T>(block);
    info.blkno = place;
    info.uuid = geometry.uuid;
    info.owner = ino.value();
    if (checksum && bytes <= block.size()) seal(block.first(bytes), crc);
  };
  const std::size_t one = geometry.block_bytes;
  const std::size_t directory = geometry.dir_block_bytes();
  const std::uint32_t magic = view<be32>(block);
  switch (view<DaBlockInfo>(block).magic) {
    case DaNodeHeader::kMagic:
    case DirLeafHeader::kLeaf1Magic:
    case DirLeafHeader::kLeafNMagic:
    case AttrLeafHeader::kMagic: {
      const bool attribute = view<DaBlockInfo>(block).magic == AttrLeafHeader::kMagic;
      return header(std::type_identity<DaBlockInfo>(), attribute ? one : directory, offsetof(DaBlockInfo, crc));
    }
    default:
      break;
  }
  if (magic == DirDataHeader::kBlockMagic || magic == DirDataHeader::kDataMagic || magic == DirFreeHeader::kMagic) {
    header(std::type_identity<DirBlockInfo>(), directory, offsetof(DirBlockInfo, crc));
  } else if (magic == RemoteHeader::kAttrMagic || magic == RemoteHeader::kSymlinkMagic) {
    header(std::type_identity<RemoteHeader>(), one, offsetof(RemoteHeader, crc));
  } else if (magic == btree_spec(BtreeKind::kBmap).magic) {
    header(std::type_identity<LongBtreeHeader>(), one, offsetof(LongBtreeHeader, crc));
  }
}

/// The file an input describes; one without a device when the input is too short.
inline HostileFile hostile_file(const Geometry& geometry, const std::uint8_t* data, std::size_t size) {
  constexpr std::uint32_t kFirstBlock = 64;
  constexpr std::size_t kMostBlocks = 256;
  HostileFile file;
  if (size < 1 + geometry.inode_bytes) return file;
  file.choice = data[0];
  file.ino = geometry.inode_number(AgNumber(0), AgInode(64));
  file.inode.resize(geometry.inode_bytes);
  std::memcpy(file.inode.data(), data + 1, file.inode.size());
  const std::uint8_t* at = data + 1 + file.inode.size();
  const std::size_t content_bytes =
      std::min<std::size_t>(size - 1 - file.inode.size(), kMostBlocks * geometry.block_bytes);
  file.device = std::make_unique<MemoryDevice>(
      MemoryOptions{.size_bytes = (kFirstBlock + kMostBlocks) * std::uint64_t{geometry.block_bytes}});
  const MutableByteSpan content = file.device->bytes().subspan(std::size_t{kFirstBlock} * geometry.block_bytes);
  std::memcpy(content.data(), at, content_bytes);

  const bool checksums = (file.choice & 2) != 0;
  if ((file.choice & 1) != 0) {
    auto& core = mutable_view<InodeCore>(file.inode);
    core.magic = InodeCore::kMagic;
    core.version = InodeCore::kVersion;
    core.ino = file.ino.value();
    core.uuid = geometry.uuid;
    if (checksums) seal(file.inode, offsetof(InodeCore, crc));
    for (std::size_t block = 0; block < (content_bytes + geometry.block_bytes - 1) / geometry.block_bytes; ++block) {
      const FsBlock address = geometry.fs_block(AgNumber(0), AgBlock(kFirstBlock + static_cast<std::uint32_t>(block)));
      put_right(content.subspan(block * geometry.block_bytes), geometry, address, file.ino, checksums);
    }
  }
  std::memcpy(file.device->bytes().data() + geometry.byte_of(file.ino), file.inode.data(), file.inode.size());
  return file;
}

}  // namespace xdax::fuzz
