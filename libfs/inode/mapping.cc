#include "libfs/inode/mapping.h"

#include "libfs/space/free_space.h"
#include "libfs/space/reverse_map.h"

namespace xdax {
namespace {

GroupExtent blocks_of(const Geometry& geometry, const Extent& extent) {
  return {.start = geometry.ag_block_of(extent.start), .length_blocks = extent.length_blocks};
}

}  // namespace

void add_mapping(ForkWriter& fork, const Extent& extent) {
  const Geometry& geometry = fork.inode().geometry();
  fork.add(extent);
  Group group(fork.inode().transaction(), geometry.ag_of(extent.start));
  FreeSpace(group).fill_list();
  ReverseMap(group).add(blocks_of(geometry, extent), fork.owner_of(extent));
}

std::vector<Extent> remove_mappings(ForkWriter& fork, FileBlock start, std::uint64_t length_blocks) {
  const Geometry& geometry = fork.inode().geometry();
  std::vector<Extent> removed = fork.remove(start, length_blocks);
  for (const Extent& extent : removed) {
    Group group(fork.inode().transaction(), geometry.ag_of(extent.start));
    FreeSpace(group).fill_list();
    ReverseMap(group).remove(blocks_of(geometry, extent), fork.owner_of(extent));
  }
  return removed;
}

}  // namespace xdax
