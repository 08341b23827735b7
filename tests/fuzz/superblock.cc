// Fuzz target: a superblock of any bytes, and all the arithmetic that trusts it once it has passed.
//
// The input is the sector; shorter ones are filled with zeros. What the verifier lets through must not divide by zero,
// shift too far, or place anything outside the filesystem.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "libfs/format/geometry.h"
#include "libfs/format/log_limits.h"
#include "libfs/format/superblock.h"

namespace {

using namespace xdax;

void require(bool holds) {
  if (!holds) std::abort();
}

void use(const Geometry& geometry) {
  const AgNumber last(geometry.ag_count - 1);
  require(geometry.valid_ag(last) && !geometry.valid_ag(AgNumber(geometry.ag_count)));
  require(geometry.ag_length_blocks(last) >= limits::kMinAgBlocks &&
          geometry.ag_length_blocks(last) <= geometry.ag_blocks);
  require(geometry.byte_of(last, AgBlock(geometry.ag_length_blocks(last))) == geometry.size_bytes());
  require(geometry.ag_header_blocks() >= 1 && geometry.ag_header_blocks() <= 4);
  for (const std::uint64_t value :
       {std::uint64_t{0}, geometry.log_start.value(), geometry.root_inode.value(), ~std::uint64_t{0}}) {
    const FsBlock block(value);
    if (geometry.valid_fs_block(block)) {
      require(geometry.byte_of(block) < geometry.size_bytes());
      require(geometry.fs_block(geometry.ag_of(block), geometry.ag_block_of(block)) == block);
    }
    const InodeNumber inode(value);
    if (geometry.valid_inode(inode)) {
      require(geometry.byte_of(inode) + geometry.inode_bytes <= geometry.size_bytes());
      require(geometry.inode_number(geometry.ag_of(inode), geometry.ag_inode_of(inode)) == inode);
    }
  }
  require(geometry.inode_chunk_blocks() >= 1 && geometry.inode_cluster_bytes() >= geometry.block_bytes);
  require(TreeHeights::of(geometry).free_space >= 1);
  require(minimum_log_blocks(geometry) >= limits::kMinLogBlocks);
  static_cast<void>(first_unsupported_for_writing(geometry.features));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::vector<std::byte> sector(std::max<std::size_t>(size, kBasicBlockBytes));
  std::transform(data, data + size, sector.begin(), [](std::uint8_t byte) { return std::byte{byte}; });
  static_cast<void>(claimed_sector_bytes(sector));
  for (const bool primary : {true, false}) {
    for (const std::uint64_t device_bytes : {std::uint64_t{0}, std::uint64_t{1} << 30}) {
      const Flaws flaws =
          verify_superblock(sector, {.ag = AgNumber(0), .device_bytes = device_bytes, .primary = primary});
      if (usable_for_geometry(flaws)) use(Geometry(view<Superblock>(sector)));
    }
  }
  return 0;
}
