// Where the data fork of an inode ends and its attribute fork starts.
//
// The data fork keeps what it holds and room to become a tree; attributes get the rest. While attributes lie in the
// inode the border moves towards the data fork as they grow; once they have blocks of their own it stays. A tree root
// of the data fork is laid out anew whenever the border moves, because its pointers start where its room for keys ends.
// Not thread-safe. Source: XFS Algorithms & Data Structures, "Data Fork", "Attribute Fork".
#pragma once

#include <cstdint>
#include <optional>

#include "libfs/inode/inode_edit.h"

namespace xdax {

class ForkSplit {
 public:
  /// The least an attribute fork is: two extents, or a tree root of two entries.
  static constexpr std::uint32_t kLeastAttrBytes = 40;

  /// The inode must outlive it.
  explicit ForkSplit(const InodeEdit& inode) : inode_(inode) {}

  /// Makes the attribute fork, which holds nothing or attributes in local form, at least so large; what lies in it must
  /// be written anew. False when the data fork leaves no room; nothing is changed then.
  [[nodiscard]] bool make_room(std::uint32_t attr_bytes);
  /// Makes room for kLeastAttrBytes whatever it costs: a long list of extents becomes a tree, a large root goes into a
  /// block, and so does the target of a symbolic link. Throws RefusalError (kNoSpace) when that fails, and for a
  /// directory that fills its inode: whoever writes directories gives it a block first.
  void force_room();
  /// Removes the attribute fork, which must map nothing. The data fork gets its room.
  void remove();

 private:
  [[nodiscard]] std::uint32_t room_bytes() const;
  [[nodiscard]] ForkFormat data_format() const { return fork_format(inode_.core(), Fork::kData); }
  [[nodiscard]] std::uint32_t data_need_bytes() const;
  [[nodiscard]] std::uint32_t preferred_data_bytes() const;
  void move(std::uint32_t data_bytes);
  void map_again(std::uint32_t data_bytes);
  void push_root_down();
  void move_target_out();

  const InodeEdit& inode_;
};

}  // namespace xdax
