// First part of the plan: features and the sizes of blocks, sectors, inodes and directory blocks.
#pragma once

#include "libfs/format/features.h"
#include "mkfs/plan.h"

namespace xdax::mkfs {

/// The basic sizes, as powers of two.
struct Sizes {
  std::uint32_t block_log = 0;
  std::uint32_t sector_log = 0;
  std::uint32_t log_sector_log = 0;
  std::uint32_t inode_log = 0;
  std::uint32_t directory_log = 0;

  [[nodiscard]] std::uint32_t block_bytes() const { return 1u << block_log; }
  [[nodiscard]] std::uint32_t sector_bytes() const { return 1u << sector_log; }
};

/// Throws RefusalError for what is out of scope (v4, realtime, external log) and for features that need one another.
[[nodiscard]] Features choose_features(const FormatRequest& request);

[[nodiscard]] Sizes choose_sizes(const FormatRequest& request, const DeviceFacts& device,
                                 std::vector<std::string>& notes);

}  // namespace xdax::mkfs
