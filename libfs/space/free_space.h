// Free space of one group: the two trees that hold it, and the free list that feeds them.
//
// Every change first brings the free list to its length, then changes both trees, the header's counters, the reverse
// map and the transaction's count of free blocks. Freed blocks are handed out again only when that is durable. Not
// thread-safe. Source: XFS Algorithms & Data Structures, "Free Space B+trees".
#pragma once

#include <cstdint>
#include <optional>

#include "libfs/space/group.h"
#include "libfs/space/reverse_map.h"

namespace xdax {

/// What is wanted of one group.
struct GroupRequest {
  std::uint32_t least = 1;  ///< blocks; fewer are no use
  std::uint32_t most = 1;   ///< blocks
  /// The extent starts at a multiple of this many blocks, or there is none.
  std::uint32_t alignment = 1;
  std::optional<AgBlock> near;  ///< where it would best start
  bool exact = false;           ///< there or nowhere
  /// May use what is held back for the group's trees.
  bool reserved = false;
  ExtentOwner owner;  ///< of the first block
};

class FreeSpace {
 public:
  explicit FreeSpace(Group& group) : group_(group) {}

  /// Blocks that may be given to files and inodes: without the free list's and those held back for trees.
  [[nodiscard]] std::uint32_t usable_blocks();
  /// An extent, taken out of free space and recorded in the reverse map; nothing when the group has none that will do.
  [[nodiscard]] std::optional<GroupExtent> allocate(const GroupRequest& request);
  /// Gives an extent back. `owner` is who had its first block; kOwnerNull leaves the reverse map alone and
  /// kOwnerUnknown takes whoever it was out of it. Throws CorruptionError when a part of it is free already.
  void free(const GroupExtent& extent, const ExtentOwner& owner);
  /// Brings the free list to the length that changes of free space need. Done by the others.
  void fill_list();

 private:
  [[nodiscard]] std::optional<GroupExtent> choose(const GroupRequest& request);
  [[nodiscard]] std::optional<GroupExtent> fit(const FreeRecord& record, const GroupRequest& request) const;
  void take(const GroupExtent& extent);
  void give(const GroupExtent& extent);
  void insert(AgBlock start, std::uint32_t length);
  void erase(const FreeRecord& record);
  void note_longest();
  [[noreturn]] void corrupt(const GroupExtent& extent, const char* what) const;

  Group& group_;
};

/// Blocks of a group that are held back for its trees to grow, as a kernel computes them; those in use are not counted
/// again.
[[nodiscard]] std::uint32_t held_back_blocks(Group& group);

}  // namespace xdax
