// Hostile inodes: the core, the forks inside it, and what a directory and attributes inside it say.

#include "libfs/format/inode.h"

#include "libfs/format/attr_shortform.h"
#include "libfs/format/dir_shortform.h"
#include "libfs/format/inode_fork.h"
#include "tests/fuzz/fuzz_geometry.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace xdax;
  if (size < 2) return 0;
  Geometry geometry = fuzz::geometry_of(data[0]);
  geometry.inode_log = 9 + (data[0] >> 2) % 3;
  geometry.inode_bytes = 1u << geometry.inode_log;
  const fuzz::Bytes inode = fuzz::block_of(data, size, geometry.inode_bytes);
  const auto& core = view<InodeCore>(inode);
  geometry.uuid = core.uuid;
  const InodeNumber claimed{core.ino};
  const InodeNumber ino = geometry.valid_inode(claimed) ? claimed : geometry.inode_number(AgNumber(1), AgInode(4096));
  const bool sound = verify_inode(inode, geometry, {ino}).empty();
  for (const Fork fork : {Fork::kData, Fork::kAttr}) {
    const ByteSpan bytes = fork_bytes(inode, fork);
    const auto records = fork_extents(inode, fork);
    if (sound && fork_format(core, fork) == ForkFormat::kExtents) {
      fuzz::require(records.size() == extent_count(core, fork));
    }
    (void)verify_bmap_root(bytes, geometry, 0);
    (void)verify_dir_shortform(bytes, geometry);
    (void)verify_attr_shortform(bytes, geometry);
  }
  for (const std::uint64_t stored : {core.atime.get(), core.crtime.get()}) {
    fuzz::require(encode_timestamp(decode_timestamp(stored, true), true) == stored);
  }
  return 0;
}
