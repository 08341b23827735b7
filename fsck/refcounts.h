// The reference count tree of a group: which blocks files share, and which are staging for a copy on write.
#pragma once

#include <cstdint>
#include <vector>

#include "fsck/group_context.h"
#include "libfs/format/agf.h"

namespace xdax::fsck {

struct Refcounts {
  /// Shared extents; the value is the count. Touching ones of the same count are merged.
  std::vector<Interval> shared;
  /// Staging extents; the value is the owner that the reverse map has for them.
  std::vector<Interval> staging;
  bool intact = false;
};

[[nodiscard]] Refcounts check_refcounts(GroupContext& context, const Agf& agf);

}  // namespace xdax::fsck
