#include "libfs/format/geometry.h"

#include <algorithm>

#include "libfs/format/superblock.h"

namespace xdax {

Geometry::Geometry(const Superblock& superblock)
    : block_bytes(superblock.blocksize),
      block_log(superblock.blocklog),
      sector_bytes(superblock.sectsize),
      sector_log(superblock.sectlog),
      inode_bytes(superblock.inodesize),
      inode_log(superblock.inodelog),
      inodes_per_block(superblock.inopblock),
      inodes_per_block_log(superblock.inopblog),
      data_blocks(superblock.dblocks),
      ag_blocks(superblock.agblocks),
      ag_count(superblock.agcount),
      ag_block_log(superblock.agblklog),
      dir_block_log(superblock.dirblklog),
      sparse_align_blocks(superblock.spino_align),
      stripe_unit_blocks(superblock.unit),
      stripe_width_blocks(superblock.width),
      log_start(superblock.logstart),
      log_blocks(superblock.logblocks),
      log_sector_bytes(superblock.logsectsize != 0 ? std::uint32_t{superblock.logsectsize} : kBasicBlockBytes),
      log_stripe_bytes(superblock.logsunit),
      root_inode(superblock.rootino),
      realtime_bitmap_inode(superblock.rbmino),
      realtime_summary_inode(superblock.rsumino),
      features(superblock.features()),
      user_uuid(superblock.uuid),
      uuid(features.metauuid() ? superblock.meta_uuid : superblock.uuid) {
  inode_align_blocks = features.aligned_inodes() ? std::uint32_t{superblock.inoalignmt} : 0;
}

std::uint64_t Geometry::byte_of(InodeNumber inode) const {
  const AgInode within = ag_inode_of(inode);
  const std::uint64_t index = within.value() & (inodes_per_block - 1);
  return byte_of(ag_of(inode), ag_block_of(within)) + (index << inode_log);
}

std::uint32_t Geometry::inode_chunk_blocks() const {
  return std::max(limits::kInodesPerChunk >> inodes_per_block_log, std::uint32_t{1});
}

std::uint32_t Geometry::inode_cluster_bytes() const {
  // 8 KiB for 256-byte inodes, growing in proportion so that a cluster always holds 32 of them.
  constexpr std::uint32_t kClusterInodes = 32;
  return std::max(kClusterInodes << inode_log, block_bytes);
}

std::uint64_t Geometry::max_file_blocks() const { return (limits::kMaxFileBytes >> block_log) + 1; }

std::uint32_t ag_block_log_for(std::uint32_t ag_blocks) { return ceil_log2(ag_blocks); }

}  // namespace xdax
