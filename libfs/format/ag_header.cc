#include "libfs/format/ag_header.h"

namespace xdax {

void check_ag_tree_root(Flaws& flaws, const Geometry& geometry, AgNumber ag, const AgTreeRoot& tree) {
  const auto at = static_cast<std::uint32_t>(tree.offset_bytes);
  if (!geometry.valid_ag_block(ag, AgBlock(tree.root))) {
    flaws.add({FlawKind::kPointer, tree.field, at, tree.root, geometry.ag_length_blocks(ag),
               "a block inside the group, past its header"});
  }
  if (tree.level < 1 || tree.level > limits::kMaxBtreeLevels) {
    flaws.add({FlawKind::kLevel, tree.field, at, tree.level, limits::kMaxBtreeLevels, "1 to 9 levels"});
  }
}

}  // namespace xdax
