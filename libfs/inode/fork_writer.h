// The extent map of a fork, to be changed: mappings added, removed and converted, in every form the map can have.
//
// A few extents lie in the inode itself, more in a B+tree whose root does; the form follows the count, both ways. The
// map merges what touches on disk and in the file and is of one state; allocating and zeroing are over by then. The
// writer keeps nextents and nblocks, and the reverse map of the tree's own blocks; space of the data is the caller's.
// Not thread-safe. Source: XFS Algorithms & Data Structures, "Data Extents".
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "libfs/btree/btree.h"
#include "libfs/format/extent.h"
#include "libfs/inode/inode_edit.h"
#include "libfs/space/allocator.h"

namespace xdax {

class ForkWriter {
 public:
  /// Of an inode in use, of a fork in extents or btree format. The inode must outlive it. Throws CorruptionError.
  ForkWriter(const InodeEdit& inode, Fork fork);
  ~ForkWriter();
  ForkWriter(const ForkWriter&) = delete;
  ForkWriter& operator=(const ForkWriter&) = delete;

  /// Whether the map's own blocks may come from the pool kept for conversions, from here on. At first they may not.
  void use_pool(bool use);

  [[nodiscard]] const InodeEdit& inode() const { return inode_; }
  [[nodiscard]] Fork fork() const { return fork_; }
  [[nodiscard]] std::uint64_t extent_count() const { return xdax::extent_count(inode_.core(), fork_); }

  /// The extent that maps `block`, the first one that ends behind it, the last one that starts before it, and the last
  /// one of all. Throw CorruptionError, IoError.
  [[nodiscard]] std::optional<Extent> find(FileBlock block);
  [[nodiscard]] std::optional<Extent> next(FileBlock block);
  [[nodiscard]] std::optional<Extent> before(FileBlock block);
  [[nodiscard]] std::optional<Extent> last();

  /// Maps what was a hole. The extent's blocks are in use by now. Throws RefusalError (kNoSpace) when the map cannot
  /// grow.
  void add(const Extent& extent);
  /// Unmaps [start, start + length) and returns what was mapped there, in order, cut to the range.
  [[nodiscard]] std::vector<Extent> remove(FileBlock start, std::uint64_t length_blocks);
  /// Sets the state of what is mapped in [start, start + length), which must be one extent or a part of one.
  void set_unwritten(FileBlock start, std::uint64_t length_blocks, bool unwritten);

  /// Who the reverse map says owns the blocks of `extent`.
  [[nodiscard]] ExtentOwner owner_of(const Extent& extent) const;
  /// Allocates blocks for [at, at + least..most), maps and returns them. Kinds of files that are metadata only; for the
  /// data of files see libfs/file.
  Extent allocate(FileBlock at, std::uint32_t least, std::uint32_t most);
  /// Unmaps and frees, shared blocks too.
  void free(FileBlock start, std::uint64_t length_blocks);

 private:
  class Root;

  [[nodiscard]] bool is_tree() const { return fork_format(inode_.core(), fork_) == ForkFormat::kBtree; }
  [[nodiscard]] std::uint32_t most_inline() const;
  [[nodiscard]] std::vector<Extent> inline_extents() const;
  void store_inline(const std::vector<Extent>& extents);
  [[nodiscard]] Btree tree();
  /// Extents that touch [start, end], ends included.
  [[nodiscard]] std::vector<Extent> around(FileBlock start, FileBlock end);
  void replace(const std::vector<Extent>& before, std::vector<Extent> after);
  void set_count(std::uint64_t count);
  void to_tree(const std::vector<Extent>& extents);
  void to_inline();
  void change_blocks(std::int64_t blocks);
  void merge(std::vector<Extent>& extents) const;

  const InodeEdit& inode_;
  Fork fork_;
  std::unique_ptr<Root> root_;
};

}  // namespace xdax
