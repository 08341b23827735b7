#include "libfs/format/log_limits.h"

#include <algorithm>
#include <array>

#include "libfs/base/math.h"
#include "libfs/format/btree_block.h"

namespace xdax {
namespace {

constexpr std::uint64_t kOpHeaderBytes = 12;
constexpr std::uint64_t kTransactionHeaderBytes = 16;
constexpr std::uint64_t kInodeItemBytes = 56;
constexpr std::uint64_t kBufferOverheadBytes = 128;    // op header and buffer item, rounded up to a log chunk
constexpr std::uint64_t kQuotaBytes = 6 * (24 + 104);  // six dquot items with their records
constexpr std::uint64_t kLargestRecordBytes = 256 * 1024;
constexpr std::uint64_t kLargestRecordHeaderBytes = 4096;  // one header sector for each 32 KiB of record
constexpr std::uint64_t kSymlinkTargetBytes = 1024;
constexpr std::uint64_t kLongestNameBytes = 255;
// An attribute intent that sets or removes a parent pointer (a 40-byte item, 12 bytes of value and a name), or replaces
// one.
constexpr std::uint64_t kParentIntentBytes = 40 + 12 + 256;
constexpr std::uint64_t kParentReplaceIntentBytes = 40 + 2 * (12 + 256);
constexpr std::uint32_t kDaTreeDepth = 5;
constexpr std::uint32_t kReverseMapHeightWithReflink = 9;
constexpr std::uint64_t kLogSlackBasicBlocks = 1024;
constexpr std::uint64_t kTransactionsThatMustFit = 3;

std::uint32_t extent_tree_height(const BtreeLayout& layout, std::uint64_t extents, std::uint32_t root_records) {
  std::uint64_t blocks = div_ceil(extents, layout.min_entries(0));
  std::uint32_t height = 1;
  for (; blocks > 1; ++height) blocks = blocks <= root_records ? 1 : div_ceil(blocks, layout.min_entries(1));
  return height;
}

// One kind of transaction: what it logs at most, and how many times it may roll under one reservation.
struct Reservation {
  std::uint64_t bytes;
  std::uint64_t rolls;
};

class WorstCase {
 public:
  explicit WorstCase(const Geometry& geometry)
      : geometry_(geometry),
        heights_(TreeHeights::of(geometry)),
        block_bytes_(geometry.block_bytes),
        sector_bytes_(geometry.sector_bytes) {}

  [[nodiscard]] Reservation largest() const {
    // Filesystems with refcounts once logged their updates inside these transactions and rolled up to eight times;
    // kernels still demand a log for that, whatever they do today.
    const std::uint64_t data_rolls = geometry_.features.reflink() ? 8 : 2;
    // With parent pointers an operation on names goes on to set or remove attributes, under the same reservation.
    const bool parent = geometry_.features.parent();
    const std::uint64_t more = parent ? 3 : 0;
    const std::array<Reservation, 10> ordinary{{
        {write(), data_rolls},
        {truncate(), data_rolls},
        {write() + buffers(1, block_bytes_ - 1), data_rolls},  // allocating a block of quota records
        {rename() + (parent ? 2 * kParentIntentBytes + kParentReplaceIntentBytes : 0), 2 + more},
        {create() + buffers(1, kSymlinkTargetBytes) + (parent ? kParentIntentBytes : 0), 3 + more},  // symlink, mkdir
        {create() + (parent ? kParentIntentBytes : 0), 2 + more},
        {remove() + (parent ? kParentIntentBytes : 0), 2 + more},
        {fixed_attribute_bytes(), 3},
        {free_inode(), 2},
        {drop_attributes(), 1},
    }};
    const Reservation largest = *std::max_element(
        ordinary.begin(), ordinary.end(),
        [](const Reservation& a, const Reservation& b) { return a.bytes * a.rolls < b.bytes * b.rolls; });
    const std::uint64_t attribute = set_attribute();
    return attribute > largest.bytes * largest.rolls ? Reservation{attribute, 3} : largest;
  }

 private:
  [[nodiscard]] static std::uint64_t buffers(std::uint64_t count, std::uint64_t bytes) {
    return count * (bytes + kBufferOverheadBytes);
  }
  [[nodiscard]] std::uint64_t blocks(std::uint64_t count) const { return buffers(count, block_bytes_); }
  [[nodiscard]] std::uint64_t sectors(std::uint64_t count) const { return buffers(count, sector_bytes_); }
  [[nodiscard]] std::uint64_t inodes(std::uint64_t count) const {
    return count * (4 * kOpHeaderBytes + kInodeItemBytes + geometry_.inode_bytes + 2 * sizeof(LongBtreeHeader));
  }

  // Blocks that `count` allocations or frees may dirty: both free-space trees split to the root, and the reverse map.
  [[nodiscard]] std::uint64_t free_space_blocks(std::uint64_t count) const {
    std::uint64_t total = count * 2 * (2 * heights_.free_space - 1);
    if (geometry_.features.rmapbt()) total += count * (2 * heights_.reverse_map - 1);
    return total;
  }
  [[nodiscard]] std::uint64_t refcount_blocks(std::uint64_t count) const {
    return geometry_.features.reflink() ? count * (2 * heights_.refcount - 1) : 0;
  }
  [[nodiscard]] std::uint64_t inode_tree() const { return blocks(heights_.inodes) + blocks(free_space_blocks(1)); }
  [[nodiscard]] std::uint64_t free_inode_tree() const { return geometry_.features.finobt() ? inode_tree() : 0; }

  // Extents whose insertion fills half a free-space leaf: how the kernel spreads the cost of growing an extent map.
  [[nodiscard]] std::uint64_t extents_per_leaf_split() const {
    const std::uint32_t most = BtreeLayout(BtreeKind::kBno, geometry_.block_bytes).max_records();
    return most - most / 2;
  }
  // Blocks of the extent map that adding `count` extents to a fork of this height may dirty.
  [[nodiscard]] std::uint64_t map_blocks(std::uint64_t count, std::uint32_t height) const {
    return div_ceil(count, extents_per_leaf_split()) * (height - 1);
  }
  // Buffers one directory operation may dirty: every level of its hash tree, data and free blocks, and their extents.
  [[nodiscard]] std::uint64_t directory_operation() const {
    const std::uint64_t directory_blocks = 1ull << geometry_.dir_block_log;
    const std::uint64_t depth = kDaTreeDepth + 2;
    return depth * directory_blocks + depth * map_blocks(directory_blocks, heights_.data_fork) + 1;
  }

  [[nodiscard]] std::uint64_t write() const {
    const std::uint64_t refcounts = blocks(refcount_blocks(2));
    const std::uint64_t space = blocks(free_space_blocks(2));
    return kQuotaBytes + refcounts + space + std::max(inodes(1) + blocks(heights_.data_fork) + sectors(3), sectors(5));
  }
  [[nodiscard]] std::uint64_t truncate() const {
    return kQuotaBytes + std::max(inodes(1) + blocks(heights_.data_fork + 1),
                                  sectors(9) + blocks(free_space_blocks(4)) + blocks(refcount_blocks(4)));
  }
  [[nodiscard]] std::uint64_t rename() const {
    return kQuotaBytes +
           std::max(inodes(5) + blocks(2 * directory_operation()), sectors(7) + blocks(free_space_blocks(3)));
  }
  [[nodiscard]] std::uint64_t create() const {
    const std::uint64_t new_chunk =
        sectors(2) + sector_bytes_ + blocks(free_space_blocks(1)) + inode_tree() + free_inode_tree();
    const std::uint64_t existing_chunk =
        inodes(2) + sectors(1) + block_bytes_ + blocks(directory_operation()) + free_inode_tree();
    return kQuotaBytes + std::max(new_chunk, existing_chunk);
  }
  [[nodiscard]] std::uint64_t remove() const {
    return kQuotaBytes + std::max(inodes(2) + blocks(directory_operation()), sectors(4) + blocks(free_space_blocks(2)));
  }
  [[nodiscard]] std::uint64_t free_inode() const {
    const std::uint64_t unlink = sectors(1) + 2 * std::uint64_t{geometry_.inode_cluster_bytes()};
    const std::uint64_t chunk = blocks(free_space_blocks(1)) + buffers(geometry_.inode_chunk_blocks(), 0);
    return kQuotaBytes + inodes(1) + sectors(3) + unlink + chunk + inode_tree() + free_inode_tree();
  }
  [[nodiscard]] std::uint64_t drop_attributes() const {
    return std::max(inodes(1) + blocks(heights_.attr_fork), sectors(9) + blocks(free_space_blocks(4)));
  }
  [[nodiscard]] std::uint64_t fixed_attribute_bytes() const {
    return kQuotaBytes + inodes(1) + sectors(1) + blocks(kDaTreeDepth);
  }
  // The longest attribute that is still stored inside a leaf, with every block its insertion may allocate.
  [[nodiscard]] std::uint64_t set_attribute() const {
    const std::uint64_t per_block = sectors(1) + blocks(heights_.attr_fork);
    const std::uint64_t value_bytes = block_bytes_ / 2 + block_bytes_ / 4 - kLongestNameBytes - 1;
    const std::uint64_t tree = kDaTreeDepth + kDaTreeDepth * map_blocks(1, heights_.attr_fork);
    const std::uint64_t value = div_ceil(value_bytes, block_bytes_) + map_blocks(value_bytes, heights_.attr_fork);
    return fixed_attribute_bytes() + per_block * (tree + value);
  }

  const Geometry& geometry_;
  TreeHeights heights_;
  std::uint64_t block_bytes_;
  std::uint64_t sector_bytes_;
};

// Log space for one transaction of `bytes`: headers of its own and of the records it may spread over, and padding.
std::uint64_t with_log_headers(std::uint64_t bytes, std::uint64_t stripe_bytes) {
  constexpr std::uint64_t kPayloadBytes = kLargestRecordBytes - kLargestRecordHeaderBytes;
  bytes += 2 * kOpHeaderBytes + kTransactionHeaderBytes;
  std::uint64_t records = div_ceil(bytes, kPayloadBytes);
  bytes += records * kOpHeaderBytes;
  for (; div_ceil(bytes, kPayloadBytes) > records; ++records) bytes += kOpHeaderBytes;
  const std::uint64_t padding = 2 * (stripe_bytes > 1 ? stripe_bytes : kBasicBlockBytes);
  return bytes + (records + 1) * kLargestRecordHeaderBytes + padding;
}

}  // namespace

TreeHeights TreeHeights::of(const Geometry& geometry) {
  const auto layout = [&](BtreeKind kind) { return BtreeLayout(kind, geometry.block_bytes); };
  const Features& features = geometry.features;
  const std::uint64_t group_inodes = 1ull << geometry.ag_inode_log();
  constexpr std::uint32_t kDataRootRecords = 3;  // what the smallest inode keeps room for
  constexpr std::uint32_t kAttrRootRecords = 2;
  const std::uint64_t most_data_extents = features.nrext64() ? (1ull << 48) - 1 : (1ull << 31) - 1;
  const std::uint64_t most_attr_extents = features.nrext64() ? (1ull << 32) - 1 : (1ull << 15) - 1;
  TreeHeights heights;
  heights.free_space = worst_case_levels(layout(BtreeKind::kBno), (std::uint64_t{geometry.ag_blocks} + 1) / 2);
  heights.inodes = worst_case_levels(layout(BtreeKind::kInobt), group_inodes / limits::kInodesPerChunk);
  if (features.rmapbt()) {
    heights.reverse_map = features.reflink() ? kReverseMapHeightWithReflink
                                             : worst_case_levels(layout(BtreeKind::kRmap), geometry.ag_blocks);
  }
  if (features.reflink()) heights.refcount = worst_case_levels(layout(BtreeKind::kRefcount), geometry.ag_blocks);
  heights.data_fork = extent_tree_height(layout(BtreeKind::kBmap), most_data_extents, kDataRootRecords);
  heights.attr_fork = extent_tree_height(layout(BtreeKind::kBmap), most_attr_extents, kAttrRootRecords);
  return heights;
}

std::uint64_t minimum_log_blocks(const Geometry& geometry) {
  const Reservation largest = WorstCase(geometry).largest();
  const std::uint64_t bytes = with_log_headers(largest.bytes, geometry.log_stripe_bytes) * largest.rolls;
  std::uint64_t basic_blocks = div_ceil(bytes, std::uint64_t{kBasicBlockBytes});
  if (geometry.log_stripe_bytes > 1) {
    const std::uint64_t stripe = geometry.log_stripe_bytes / kBasicBlockBytes;
    basic_blocks = round_up(basic_blocks, stripe) + 2 * stripe;
  } else {
    basic_blocks += kLogSlackBasicBlocks;
  }
  const std::uint64_t needed =
      div_ceil(basic_blocks * kTransactionsThatMustFit * kBasicBlockBytes, std::uint64_t{geometry.block_bytes});
  return std::max<std::uint64_t>(needed, limits::kMinLogBlocks);
}

}  // namespace xdax
