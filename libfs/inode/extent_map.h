// The extents of one fork, looked up without listing them: at most one leaf of the tree is in memory.
//
// A fork in extents format is its own leaf. In btree format each leaf is found from the root; on the way every block is
// verified, its level is one less than its parent's, and its first key is the one its parent has, inside the range its
// parent leaves. So a walk reads each leaf once and a search at most one block a level, whatever the bytes say.
//
// Not thread-safe: it remembers its last leaf. Each user makes its own.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "libfs/base/units.h"
#include "libfs/format/extent.h"
#include "libfs/format/inode_fork.h"
#include "libfs/inode/inode_reader.h"
#include "libfs/inode/metadata_reader.h"

namespace xdax {

class ExtentMap {
 public:
  /// Of a fork in another format than extents or btree the map is empty. The inode need not outlive the map.
  ExtentMap(const MetadataReader& reader, const Inode& inode, Fork fork);

  /// The extent that maps `block`; nothing for a hole. Throws CorruptionError, IoError; so do the others.
  [[nodiscard]] std::optional<Extent> find(FileBlock block);
  /// The first extent that ends behind `from`.
  [[nodiscard]] std::optional<Extent> next(FileBlock from);
  /// The first file block behind the last extent; 0 when there is none.
  [[nodiscard]] FileBlock end();

 private:
  struct Child {
    FileBlock key;
    FsBlock block;
  };
  /// File blocks [low, high) that a block of the tree speaks for.
  struct Range {
    FileBlock low;
    FileBlock high;
  };

  void load(FileBlock at);
  [[nodiscard]] std::vector<std::byte> read_block(const Child& child, std::uint32_t level, Range range) const;
  void take_leaf(ByteSpan block, Range range, FsBlock address);
  [[nodiscard]] MetadataPlace place(FsBlock block) const;

  MetadataReader reader_;
  InodeNumber ino_;
  bool written_only_;
  std::uint32_t root_level_ = 0;
  std::vector<Child> root_;  ///< of the btree format
  std::vector<Extent> leaf_;
  Range range_;  ///< what leaf_ speaks for; empty: nothing is loaded
};

}  // namespace xdax
