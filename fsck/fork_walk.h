// Walks the extents of one fork, whether they lie in the inode or in a tree, tolerantly.
//
// The sink gets every extent that is sound by itself and in order behind the one before, so that what it gets never
// overlaps in the file. A tree block is followed only when it is the file's own and starts with the key its parent has
// for it; keys only grow, so that no block is reached twice and a walk ends whatever the disk says. Never throws for
// anything on the device. Not thread-safe; each worker has its own.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "fsck/file_view.h"
#include "libfs/format/btree_block.h"

namespace xdax::fsck {

class ExtentSink {
 public:
  virtual ~ExtentSink() = default;
  virtual void extent(const Extent& extent) = 0;
  /// A block of the tree itself.
  virtual void tree_block(FsBlock block) = 0;

 protected:
  ExtentSink() = default;
  ExtentSink(const ExtentSink&) = default;
  ExtentSink& operator=(const ExtentSink&) = default;
};

struct ForkSummary {
  std::uint64_t extents = 0;
  std::uint64_t data_blocks = 0;
  std::uint64_t tree_blocks = 0;
  /// Nothing was left out.
  bool intact = true;
};

class ForkWalk {
 public:
  ForkWalk(FileView& file, Fork fork, ExtentSink& sink);

  /// Walks the whole fork. The inode's own flaws, extents inside it and the tree's root included, are for
  /// verify_inode() to report.
  ForkSummary run();

 private:
  struct Level {
    FsBlock previous = kNullFsBlock;
    FsBlock previous_right = kNullFsBlock;
    bool known = true;  ///< the blocks so far were all read
    std::vector<std::byte> buffer;
  };
  struct Child {
    FileBlock key;
    FsBlock block;
  };

  void list(std::span<const ExtentRecord> records, FileBlock limit);
  void tree();
  void children(const std::vector<Child>& all, std::uint32_t level, FileBlock limit);
  void block(ByteSpan bytes, const Child& child, std::uint32_t level, FileBlock limit);
  void siblings(const LongBtreeHeader& header, const Child& child, std::uint32_t level);
  void end_of_levels();
  [[nodiscard]] std::vector<Child> collect(ByteSpan bytes, std::uint32_t count) const;
  void lost(std::uint32_t level);

  FileView& file_;
  Fork fork_;
  ExtentSink& sink_;
  BtreeLayout layout_;
  std::vector<Level> levels_;
  ForkSummary summary_;
  FileBlock next_;  ///< nothing may start before it
};

/// Keeps the extents; for forks whose content is looked at.
class MapKeeper final : public ExtentSink {
 public:
  explicit MapKeeper(ForkMap& map) : map_(map) {}
  void extent(const Extent& extent) override { map_.extents.push_back(extent); }
  void tree_block(FsBlock) override {}

 private:
  ForkMap& map_;
};

}  // namespace xdax::fsck
