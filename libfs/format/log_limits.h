// The smallest log a geometry may have.
//
// A kernel refuses to mount a filesystem whose log cannot hold its largest transactions, so mkfs must know how large
// those are. The size of a transaction is a sum of whole buffers (each with its log overhead) and inodes that it may
// dirty; the largest, multiplied by how often it may roll, decides. The sums are facts of the kernel's behaviour: they
// were fitted to what mkfs.xfs demands over hundreds of random geometries and are held against it, and against the
// kernel's mount, by tests/oracle/mkfs_log_size_test.cc. Pure arithmetic; thread-safe.
#pragma once

#include <cstdint>

#include "libfs/format/geometry.h"

namespace xdax {

/// Heights the trees of a filesystem may reach; what transactions must be able to dirty.
struct TreeHeights {
  std::uint32_t free_space = 0;
  std::uint32_t inodes = 0;
  std::uint32_t reverse_map = 0;  ///< 0 without the feature
  std::uint32_t refcount = 0;     ///< 0 without the feature
  std::uint32_t data_fork = 0;
  std::uint32_t attr_fork = 0;

  /// Uses block_bytes, ag_blocks, ag_block_log, inodes_per_block_log and features of `geometry`.
  [[nodiscard]] static TreeHeights of(const Geometry& geometry);
};

/// Blocks the log must have at least, by the needs of transactions alone. Uses sizes, group size, features,
/// dir_block_log and log_stripe_bytes (0 or 1 for none) of `geometry`. Never below limits::kMinLogBlocks.
[[nodiscard]] std::uint64_t minimum_log_blocks(const Geometry& geometry);

}  // namespace xdax
