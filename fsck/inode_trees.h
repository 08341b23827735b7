// The inode trees of a group: chunks, the tree of those with free inodes, and the counts in the AGI.
#pragma once

#include <cstdint>
#include <vector>

#include "fsck/group_context.h"
#include "fsck/inode_table.h"
#include "libfs/format/agi.h"

namespace xdax::fsck {

struct InodeTrees {
  bool intact = false;       ///< inobt was read as a whole, so that inode chunks are claimed as a whole
  bool free_intact = false;  ///< the same of finobt; true where there is none
  std::uint64_t inodes = 0;
  std::uint64_t free_inodes = 0;
  /// The chunks of inobt that are sound and in order, without overlaps.
  std::vector<ChunkPlace> chunks;
};

[[nodiscard]] InodeTrees check_inode_trees(GroupContext& context, const Agi& agi);

}  // namespace xdax::fsck
