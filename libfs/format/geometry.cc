#include "libfs/format/geometry.h"

#include <algorithm>

#include "libfs/base/math.h"
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

std::uint32_t Geometry::ag_length_blocks(AgNumber ag) const {
  if (ag.value() + 1 < ag_count) return ag_blocks;
  return static_cast<std::uint32_t>(data_blocks - std::uint64_t{ag_count - 1} * ag_blocks);
}

bool Geometry::valid_fs_block(FsBlock block) const {
  if ((block.value() >> ag_block_log) >= ag_count) return false;
  return ag_block_of(block).value() < ag_length_blocks(ag_of(block));
}

bool Geometry::valid_extent(FsBlock start, std::uint64_t length_blocks) const {
  if (length_blocks == 0 || !valid_fs_block(start)) return false;
  return range_fits(ag_block_of(start).value(), length_blocks, ag_length_blocks(ag_of(start)));
}

bool Geometry::valid_ag_block(AgNumber ag, AgBlock block) const {
  return valid_ag(ag) && block.value() >= ag_header_blocks() && block.value() < ag_length_blocks(ag);
}

std::uint64_t Geometry::byte_of(InodeNumber inode) const {
  const AgInode within = ag_inode_of(inode);
  const std::uint64_t index = within.value() & (inodes_per_block - 1);
  return byte_of(ag_of(inode), ag_block_of(within)) + (index << inode_log);
}

bool Geometry::valid_inode(InodeNumber inode) const {
  if ((inode.value() >> ag_inode_log()) >= ag_count) return false;
  return valid_ag_inode(ag_of(inode), ag_inode_of(inode));
}

bool Geometry::valid_ag_inode(AgNumber ag, AgInode inode) const { return valid_ag_block(ag, ag_block_of(inode)); }

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
