// Geometry: where things are, as arithmetic.
//
// A Geometry is a small immutable copy of what a verified superblock says, and the only place where units are
// converted into one another. It does no I/O and holds no state. Every function is total for arguments inside the
// ranges its comment names; callers check ranges first with the valid_* functions, which accept any value.
// Thread-safe as a value. Source: XFS Algorithms & Data Structures, "Allocation Groups", "Inode Numbers".
#pragma once

#include <cstdint>

#include "libfs/base/math.h"
#include "libfs/base/units.h"
#include "libfs/base/uuid.h"
#include "libfs/format/features.h"

namespace xdax {

struct Superblock;

/// Limits of the format.
namespace limits {
inline constexpr std::uint32_t kMinBlockLog = 10, kMaxBlockLog = 16;   // v5: 1 KiB .. 64 KiB
inline constexpr std::uint32_t kMinSectorLog = 9, kMaxSectorLog = 15;  // 512 .. 32 KiB
inline constexpr std::uint32_t kMinInodeLog = 9, kMaxInodeLog = 11;    // v5: 512 .. 2 KiB
inline constexpr std::uint32_t kMaxDirBlockLog = 16;                   // directory block up to 64 KiB
inline constexpr std::uint64_t kMinAgBytes = 16ull << 20;              // what mkfs accepts
inline constexpr std::uint32_t kMinAgBlocks = 64;                      // what the kernel accepts
inline constexpr std::uint64_t kMaxAgBytes = 1ull << 40;
inline constexpr std::uint64_t kMaxAgCount = 0xfffffffeull;
inline constexpr std::uint32_t kMinLogBlocks = 512;
inline constexpr std::uint64_t kMinLogBytes = 10ull << 20;
inline constexpr std::uint32_t kMaxLogBlocks = 1024 * 1024;
inline constexpr std::uint64_t kMaxLogBytes = (2ull << 30) - kMinLogBytes;
inline constexpr std::uint32_t kMaxLogStripeBytes = 256 * 1024;
inline constexpr std::uint64_t kMaxFileBytes = 0x7fffffffffffffffull;  // 2^63 - 1
inline constexpr std::uint32_t kInodesPerChunk = 64;
inline constexpr std::uint32_t kMaxBtreeLevels = 9;
/// Largest inode number: 56 bits.
inline constexpr std::uint64_t kMaxInodeNumber = (1ull << 56) - 1;
/// Blocks addressable by an extent record: 52 bits of start, 54 of file offset, 21 of length.
inline constexpr std::uint64_t kMaxExtentBlocks = (1ull << 21) - 1;
inline constexpr std::uint64_t kMaxFileBlock = (1ull << 54) - 1;
}  // namespace limits

class Geometry {
 public:
  Geometry() = default;
  /// From a superblock without flaws.
  explicit Geometry(const Superblock& superblock);

  // What the superblock says.
  std::uint32_t block_bytes = 0;
  std::uint32_t block_log = 0;
  std::uint32_t sector_bytes = 0;
  std::uint32_t sector_log = 0;
  std::uint32_t inode_bytes = 0;
  std::uint32_t inode_log = 0;
  std::uint32_t inodes_per_block = 0;
  std::uint32_t inodes_per_block_log = 0;
  std::uint64_t data_blocks = 0;
  std::uint32_t ag_blocks = 0;
  std::uint32_t ag_count = 0;
  std::uint32_t ag_block_log = 0;
  std::uint32_t dir_block_log = 0;        ///< blocks per directory block, as a power of two
  std::uint32_t inode_align_blocks = 0;   ///< alignment of inode chunks; 0 or 1 for none
  std::uint32_t sparse_align_blocks = 0;  ///< alignment of sparse inode chunks
  std::uint32_t stripe_unit_blocks = 0;
  std::uint32_t stripe_width_blocks = 0;
  FsBlock log_start;  ///< first block of the internal log; 0 for an external one
  std::uint32_t log_blocks = 0;
  std::uint32_t log_sector_bytes = 0;  ///< of the log device; 512 where the superblock leaves it out
  std::uint32_t log_stripe_bytes = 0;  ///< as logsunit says: 1 for none
  InodeNumber root_inode;
  InodeNumber realtime_bitmap_inode;
  InodeNumber realtime_summary_inode;
  Features features;
  Uuid user_uuid;  ///< what mount and blkid see
  Uuid uuid;       ///< what metadata carries

  // Allocation groups.
  [[nodiscard]] bool valid_ag(AgNumber ag) const { return ag.value() < ag_count; }
  /// Blocks in `ag`, which must be valid; only the last one may be shorter.
  [[nodiscard]] std::uint32_t ag_length_blocks(AgNumber ag) const {
    if (ag.value() + 1 < ag_count) return ag_blocks;
    return static_cast<std::uint32_t>(data_blocks - std::uint64_t{ag_count - 1} * ag_blocks);
  }
  /// Blocks at the start of every group that hold its four header sectors.
  [[nodiscard]] std::uint32_t ag_header_blocks() const { return (4 * sector_bytes + block_bytes - 1) >> block_log; }

  // Blocks. The packed form is group << ag_block_log | block.
  [[nodiscard]] FsBlock fs_block(AgNumber ag, AgBlock block) const {
    return FsBlock((std::uint64_t{ag.value()} << ag_block_log) | block.value());
  }
  [[nodiscard]] AgNumber ag_of(FsBlock block) const {
    return AgNumber(static_cast<std::uint32_t>(block.value() >> ag_block_log));
  }
  [[nodiscard]] AgBlock ag_block_of(FsBlock block) const {
    return AgBlock(static_cast<std::uint32_t>(block.value() & ((1ull << ag_block_log) - 1)));
  }
  /// Whether `block` lies in an existing group and inside it. Accepts any value.
  [[nodiscard]] bool valid_fs_block(FsBlock block) const {
    if ((block.value() >> ag_block_log) >= ag_count) return false;
    return ag_block_of(block).value() < ag_length_blocks(ag_of(block));
  }
  /// Whether [start, start + length) lies inside one existing group. Accepts any values; length 0 is invalid.
  [[nodiscard]] bool valid_extent(FsBlock start, std::uint64_t length_blocks) const {
    if (length_blocks == 0 || !valid_fs_block(start)) return false;
    return range_fits(ag_block_of(start).value(), length_blocks, ag_length_blocks(ag_of(start)));
  }
  /// Whether `block` lies inside `ag` and past its header sectors.
  [[nodiscard]] bool valid_ag_block(AgNumber ag, AgBlock block) const {
    return valid_ag(ag) && block.value() >= ag_header_blocks() && block.value() < ag_length_blocks(ag);
  }

  // Bytes and disk addresses.
  [[nodiscard]] std::uint64_t byte_of(AgNumber ag, AgBlock block) const {
    return (std::uint64_t{ag.value()} * ag_blocks + block.value()) << block_log;
  }
  [[nodiscard]] std::uint64_t byte_of(FsBlock block) const { return byte_of(ag_of(block), ag_block_of(block)); }
  [[nodiscard]] DiskAddress disk_address(AgNumber ag, AgBlock block) const {
    return DiskAddress(byte_of(ag, block) >> kBasicBlockLog);
  }
  [[nodiscard]] DiskAddress disk_address(FsBlock block) const { return DiskAddress(byte_of(block) >> kBasicBlockLog); }
  /// The header sector `index` of `ag`: 0 superblock, 1 AGF, 2 AGI, 3 AGFL.
  [[nodiscard]] std::uint64_t header_byte(AgNumber ag, std::uint32_t index) const {
    return byte_of(ag, AgBlock(0)) + std::uint64_t{index} * sector_bytes;
  }
  [[nodiscard]] std::uint64_t size_bytes() const { return data_blocks << block_log; }

  // Inodes. The packed form is group << (ag_block_log + inodes_per_block_log) | block << inodes_per_block_log | index.
  [[nodiscard]] std::uint32_t ag_inode_log() const { return ag_block_log + inodes_per_block_log; }
  [[nodiscard]] InodeNumber inode_number(AgNumber ag, AgInode inode) const {
    return InodeNumber((std::uint64_t{ag.value()} << ag_inode_log()) | inode.value());
  }
  [[nodiscard]] AgNumber ag_of(InodeNumber inode) const {
    return AgNumber(static_cast<std::uint32_t>(inode.value() >> ag_inode_log()));
  }
  [[nodiscard]] AgInode ag_inode_of(InodeNumber inode) const {
    return AgInode(static_cast<std::uint32_t>(inode.value() & ((1ull << ag_inode_log()) - 1)));
  }
  [[nodiscard]] AgBlock ag_block_of(AgInode inode) const { return AgBlock(inode.value() >> inodes_per_block_log); }
  [[nodiscard]] AgInode first_inode_of(AgBlock block) const { return AgInode(block.value() << inodes_per_block_log); }
  [[nodiscard]] std::uint64_t byte_of(InodeNumber inode) const;
  /// Whether `inode` could exist: its group exists and its block lies inside, past the header. Accepts any value.
  [[nodiscard]] bool valid_inode(InodeNumber inode) const {
    if ((inode.value() >> ag_inode_log()) >= ag_count) return false;
    return valid_ag_inode(ag_of(inode), ag_inode_of(inode));
  }
  /// The same within a group.
  [[nodiscard]] bool valid_ag_inode(AgNumber ag, AgInode inode) const { return valid_ag_block(ag, ag_block_of(inode)); }
  /// Blocks a full chunk of 64 inodes takes, at least 1.
  [[nodiscard]] std::uint32_t inode_chunk_blocks() const;
  /// Inodes read and written together: the cluster size grows with the inode size and is at least a block.
  [[nodiscard]] std::uint32_t inode_cluster_bytes() const;

  [[nodiscard]] std::uint32_t dir_block_bytes() const { return block_bytes << dir_block_log; }
  /// The last file block that can hold a byte below 2^63, plus one.
  [[nodiscard]] std::uint64_t max_file_blocks() const;
};

/// The smallest exponent with 2^exponent >= ag_blocks.
[[nodiscard]] std::uint32_t ag_block_log_for(std::uint32_t ag_blocks);

}  // namespace xdax
