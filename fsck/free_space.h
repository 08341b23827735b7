// The two free-space trees of a group: each by itself, against each other, and against the counts in the AGF.
#pragma once

#include <cstdint>
#include <vector>

#include "fsck/group_context.h"
#include "libfs/format/agf.h"

namespace xdax::fsck {

struct FreeSpace {
  /// Free extents by block, merged never: as bnobt has them. Complete when `intact`.
  std::vector<Interval> extents;
  bool intact = false;
  std::uint64_t free_blocks = 0;
  /// Blocks of both trees, roots included. Right when `trees_intact`.
  std::uint64_t tree_blocks = 0;
  bool trees_intact = false;
};

[[nodiscard]] FreeSpace check_free_space(GroupContext& context, const Agf& agf);

/// Whether a header gives a tree a root and a height that can be followed.
[[nodiscard]] bool can_walk(const GroupContext& context, std::uint32_t root, std::uint32_t levels);

/// Reports a counter of a header that is not what was counted.
struct Counter {
  Problem problem;
  const char* structure;
  const char* field;
};
void check_counter(GroupContext& context, const Counter& counter, std::uint64_t found, std::uint64_t expected);

}  // namespace xdax::fsck
