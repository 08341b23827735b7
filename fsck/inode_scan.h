// Reads every inode: its fields, the extents of its forks, its attributes, the target of a link, quota records.
//
// Directories are only noted; what they hold is for the next pass (fsck/name_scan.h), which needs to know all inodes.
// Each pass may be run again with another purpose: to collect the extents of some groups once their sums differ.
#pragma once

#include <cstdint>
#include <functional>

#include "fsck/file_check.h"
#include "fsck/fork_walk.h"

namespace xdax::fsck {

/// How many inode chunks a task reads.
inline constexpr std::uint32_t kChunksPerTask = 64;

/// The tasks of a pass over all chunks, or over the chunks of one group.
struct ChunkRange {
  std::uint32_t group = 0;
  std::uint32_t first = 0;
  std::uint32_t count = 0;
};
[[nodiscard]] std::vector<ChunkRange> chunk_ranges(const InodeTable& inodes);

/// Calls `use(place, bytes)` for all inodes of the range that could be read, in use or not, with one or several that
/// follow each other from `place` on; `lost(place, error)` for each of the others. `bytes` are valid during the call.
/// Reads about a quarter of a mebibyte at a time.
void for_each_inode(const FileCheck& check, const ChunkRange& range,
                    const std::function<void(std::uint32_t place, ByteSpan bytes)>& use,
                    const std::function<void(std::uint32_t place, const std::error_code& error)>& lost);

/// The same for a pass over what was read before: calls `use(ino, bytes)` for each inode in use that could be read then
/// and can be now.
void for_each_known_inode(const FileCheck& check, const ChunkRange& range,
                          const std::function<void(InodeNumber ino, ByteSpan bytes)>& use);

/// An extent of a file in the terms of the reverse map. The extent must lie inside one group.
[[nodiscard]] OwnedExtent owned_extent(const Geometry& geometry, InodeNumber owner, Fork fork, const Extent& extent);
[[nodiscard]] OwnedExtent owned_tree_block(const Geometry& geometry, InodeNumber owner, Fork fork, FsBlock block);

/// The pass: checks all inodes, fills in the table, sums and directories of `check`.
void scan_inodes(FileCheck& check, FindingList& findings, const std::function<void()>& step);

}  // namespace xdax::fsck
