// Hostile files: an inode and the blocks its forks map, given to the checks of directories, attributes, symbolic links
// and quota records.
//
//   byte 0: bit 0 the identity of the inode and the blocks is put right, bit 1 checksums too; bits 2-3 what is checked
//   512 bytes: the inode     then: blocks of 1 KiB, which lie from block 64 of the first group on
//
// So the fuzzer gets past checksums and owners at will. Whatever the bytes, the checks must end, and what they hand on
// must be what they promise.
#include "fsck/contents.h"
#include "fsck/finding.h"
#include "fsck/fork_walk.h"
#include "libfs/base/crc32c.h"
#include "libfs/device/memory_device.h"
#include "libfs/format/attr_leaf.h"
#include "libfs/format/btree_block.h"
#include "libfs/format/da_hash.h"
#include "libfs/format/dir_data.h"
#include "libfs/format/dir_free.h"
#include "libfs/format/dir_leaf.h"
#include "libfs/format/remote_block.h"
#include "tests/fuzz/fuzz_geometry.h"

namespace {

using namespace xdax;

constexpr std::uint32_t kFirstBlock = 64;
constexpr std::size_t kMostBlocks = 256;
constexpr std::uint64_t kDeviceBytes = (kFirstBlock + kMostBlocks) * 1024;

class Entries final : public fsck::DirectorySink {
 public:
  explicit Entries(const Geometry& geometry) : geometry_(geometry) {}
  void entry(const DirEntry& entry) override {
    fuzz::require(geometry_.valid_inode(entry.ino));
    hash ^= name_hash(entry.name);
  }
  void parent(InodeNumber ino) override { fuzz::require(geometry_.valid_inode(ino)); }
  std::uint32_t hash = 0;

 private:
  const Geometry& geometry_;
};

class Pointers final : public fsck::AttributeSink {
 public:
  void parent_pointer(const AttrEntry& entry) override { fuzz::require(entry.value.size() == sizeof(ParentPointer)); }
};

// Gives a block the identity and the checksum of what its magic says it is.
void put_right(MutableByteSpan block, const Geometry& geometry, FsBlock address, InodeNumber ino, bool checksum) {
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

fsck::ForkMap map_of(fsck::FileView& file, Fork fork) {
  fsck::ForkMap map;
  fsck::MapKeeper keeper(map);
  map.intact = fsck::ForkWalk(file, fork, keeper).run().intact;
  FileBlock next;
  for (const Extent& extent : map.extents) {
    fuzz::require(extent.length_blocks > 0 && extent.file_block >= next);
    fuzz::require(file.geometry.valid_extent(extent.start, extent.length_blocks));
    next = extent.file_block + extent.length_blocks;
  }
  return map;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Geometry geometry = fuzz::geometry_of(0);
  if (size < 1 + geometry.inode_bytes) return 0;
  const std::uint8_t choice = data[0];
  const std::uint8_t* at = data + 1;
  fuzz::Bytes inode(geometry.inode_bytes);
  std::memcpy(inode.data(), at, inode.size());
  at += inode.size();
  const std::size_t content_bytes = std::min<std::size_t>(size - 1 - inode.size(), kMostBlocks * geometry.block_bytes);
  MemoryDevice device({.size_bytes = kDeviceBytes});
  const MutableByteSpan content = device.bytes().subspan(std::size_t{kFirstBlock} * geometry.block_bytes);
  std::memcpy(content.data(), at, content_bytes);

  const InodeNumber ino = geometry.inode_number(AgNumber(0), AgInode(64));
  if ((choice & 1) != 0) {
    auto& core = mutable_view<InodeCore>(inode);
    core.magic = InodeCore::kMagic;
    core.version = InodeCore::kVersion;
    core.ino = ino.value();
    core.uuid = geometry.uuid;
    for (std::size_t block = 0; block < (content_bytes + geometry.block_bytes - 1) / geometry.block_bytes; ++block) {
      const FsBlock address = geometry.fs_block(AgNumber(0), AgBlock(kFirstBlock + static_cast<std::uint32_t>(block)));
      put_right(content.subspan(block * geometry.block_bytes), geometry, address, ino, (choice & 2) != 0);
    }
  }
  fsck::FindingList findings;
  fsck::FileView file(device, geometry, findings);
  file.log_head = 0x100000000ull;
  file.seed = 1;
  file.ino = ino;
  file.inode = inode;
  const fsck::ForkMap content_map = map_of(file, Fork::kData);
  const fsck::ForkMap attr_map = map_of(file, Fork::kAttr);
  Entries entries(geometry);
  Pointers pointers;
  switch (choice >> 2 & 3) {
    case 0:
      static_cast<void>(check_directory(file, content_map, entries));
      break;
    case 1:
      if (file.core().forkoff != 0) static_cast<void>(check_attributes(file, attr_map, pointers));
      break;
    case 2:
      static_cast<void>(check_symlink(file, content_map));
      break;
    default:
      static_cast<void>(check_quota_records(file, content_map, DquotType::kUser));
      break;
  }
  for (const fsck::Finding& finding : findings.findings()) fuzz::require(*finding.structure != '\0');
  return 0;
}
