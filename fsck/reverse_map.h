// The reverse map of a group against everything it repeats: metadata, free space, shared blocks.
//
// It is the largest tree, so its records are never stored: one pass over them in order keeps a few positions and
// compares with lists that are sorted already. Only records of metadata, which are few, are kept for a comparison at
// the end.
#pragma once

#include <cstdint>
#include <span>

#include "fsck/extent_sums.h"
#include "fsck/free_space.h"
#include "fsck/group_context.h"
#include "fsck/refcounts.h"
#include "fsck/tree_walk.h"
#include "libfs/format/agf.h"

namespace xdax::fsck {

/// What the reverse map may be compared with. Absent where it is not known as a whole.
struct ReverseMapPeers {
  const FreeSpace* free_space = nullptr;
  const Refcounts* refcounts = nullptr;
  /// All claims of metadata are known, and settled.
  bool claims_known = false;
  /// With it, `owned` gets the sum of what the map gives to files.
  const ExtentHash* hash = nullptr;
  Sum128* owned = nullptr;
};

/// Compares the leaves of `tree`, whose nodes have been walked, with the peers.
void check_reverse_map(GroupContext& context, TreeWalk& tree, const ReverseMapPeers& peers);

}  // namespace xdax::fsck
