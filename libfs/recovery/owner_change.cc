#include "libfs/recovery/owner_change.h"

#include <algorithm>
#include <vector>

#include "libfs/base/crc32c.h"
#include "libfs/format/btree_block.h"
#include "libfs/inode/inode_reader.h"

namespace xdax {
namespace {

class MapOwner {
 public:
  MapOwner(const MetadataReader& reader, const Inode& inode, Fork fork)
      : reader_(reader),
        ino_(inode.ino()),
        written_only_(fork == Fork::kAttr || inode.type() != FileType::kRegular),
        layout_(BtreeKind::kBmap, reader.geometry().block_bytes) {}

  // From the root down, level by level.
  void own(ByteSpan root) {
    const BmapRootLayout layout(static_cast<std::uint32_t>(root.size()));
    const auto& header = view<BmapRootHeader>(root);
    std::vector<FsBlock> blocks;
    for (std::uint32_t i = 0; i < std::min<std::uint32_t>(header.numrecs, layout.max_entries()); ++i) {
      blocks.emplace_back(view<be64>(root, layout.pointer_offset(i)));
    }
    for (std::uint32_t level = std::min<std::uint32_t>(header.level, limits::kMaxBtreeLevels); level-- > 0;) {
      std::vector<FsBlock> below;
      for (const FsBlock block : blocks) {
        if (!reader_.geometry().valid_fs_block(block)) corrupt(0, "a pointer leads outside of the filesystem");
        own(block, level, below);
        // Two pointers to one block would make every level twice as long.
        if (below.size() > reader_.geometry().data_blocks) corrupt(0, "it has more blocks than there are");
      }
      blocks = std::move(below);
    }
  }

 private:
  void own(FsBlock block, std::uint32_t level, std::vector<FsBlock>& below) {
    const Geometry& geometry = reader_.geometry();
    const std::uint64_t byte = geometry.byte_of(block);
    std::vector<std::byte> bytes(geometry.block_bytes);
    reader_.device().read(byte, bytes);
    const InodeNumber before{view<LongBtreeHeader>(bytes).owner};
    reader_.require(
        verify_long_btree_block(bytes, geometry,
                                {.block = block, .owner = before, .level = level, .attribute_fork = written_only_}),
        {.structure = "extent map", .ino = ino_, .byte = byte});
    if (before != ino_) {
      mutable_view<LongBtreeHeader>(bytes).owner = ino_.value();
      seal(bytes, offsetof(LongBtreeHeader, crc));
      reader_.device().write(byte, bytes);
    }
    if (level == 0) return;
    for (std::uint32_t i = 0; i < view<LongBtreeHeader>(bytes).numrecs; ++i) {
      below.emplace_back(view<be64>(bytes, layout_.pointer_offset(i)));
    }
  }
  [[noreturn]] void corrupt(std::uint64_t byte, const char* what) const {
    reader_.corrupt({.structure = "extent map", .ino = ino_, .byte = byte}, what);
  }

  MetadataReader reader_;
  InodeNumber ino_;
  bool written_only_;
  BtreeLayout layout_;
};

}  // namespace

void own_map_blocks(Device& device, const Geometry& geometry, InodeNumber ino, Fork fork) {
  const MetadataReader reader(device, geometry);
  std::vector<std::byte> bytes(geometry.inode_bytes);
  device.read(geometry.byte_of(ino), bytes);
  // Freed later in the log.
  if (!view<InodeCore>(bytes).allocated()) return;
  const Inode inode = InodeReader(reader).read(ino);
  if (fork_format(inode.core(), fork) != ForkFormat::kBtree) return;
  MapOwner(reader, inode, fork).own(inode.fork(fork));
}

}  // namespace xdax
