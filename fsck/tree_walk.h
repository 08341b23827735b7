// Walks one tree of a group: every block once, level by level from the root, with everything a parent, a child and two
// neighbours say about each other.
//
// The nodes come first, then the leaves: when the leaves are read, all blocks of the tree are known and claimed, which
// the reverse map needs (it must describe its own blocks). Depth is bounded by the header's level, breadth by the set
// of visited blocks; memory is one small entry a leaf. Nothing is trusted: a block with a flaw that touches its entries
// is reported and passed over, and the tree is then not intact, so that its records are not compared with anything. Not
// thread-safe; one group, one thread.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "fsck/group_context.h"
#include "libfs/format/btree_block.h"

namespace xdax::fsck {

struct TreeRoot {
  BtreeKind kind;
  AgBlock block;
  std::uint32_t levels = 0;
};

class TreeWalk {
 public:
  /// The records of one leaf, in order; their size is the tree's record size.
  using LeafVisitor = std::function<void(ByteSpan records, std::uint32_t count)>;

  TreeWalk(GroupContext& context, const TreeRoot& root);

  /// Walks the nodes and claims all blocks of the tree.
  void walk_nodes();
  /// Reads the leaves and hands the sound ones to `visitor`. Call once, after walk_nodes().
  void walk_leaves(const LeafVisitor& visitor);

  /// Blocks reached so far, the root included.
  [[nodiscard]] std::uint64_t blocks() const { return blocks_; }
  /// Whether every record of the tree has been, or can be, relied on.
  [[nodiscard]] bool intact() const { return intact_; }

 private:
  // A key as numbers that compare in the order of its tree. Fields the order does not use are zero.
  struct Key {
    std::uint64_t major = 0, middle = 0, minor = 0;
    auto operator<=>(const Key&) const = default;
  };
  struct KeyRange {
    Key low, high;
  };
  // A block that a parent points to. `sound` is false where the pointer is no use; its place among its neighbours
  // stays.
  struct Child {
    AgBlock block;
    bool sound = true;
    bool has_keys = false;
    KeyRange keys;
  };

  using BlockVisitor = std::function<void(ByteSpan block, std::uint32_t count, AgBlock at)>;

  void visit_level(std::uint32_t level, const BlockVisitor& visitor, const std::function<void()>& lost);
  bool visit_block(std::uint32_t level, std::size_t index, std::size_t index_in_batch, const BlockVisitor& visitor);
  bool check_block(ByteSpan block, std::uint32_t level, std::size_t index);
  void check_siblings(const ShortBtreeHeader& header, std::size_t index);
  void check_keys(ByteSpan block, std::uint32_t level, const Child& child);
  void check_order_across(ByteSpan block, std::uint32_t count, AgBlock at);
  void collect_children(ByteSpan block, AgBlock parent, std::uint32_t count, std::vector<Child>& children);
  [[nodiscard]] Finding place(AgBlock block) const { return context_.place(layout_.spec().name, block); }
  [[nodiscard]] Key key_at(ByteSpan block, std::uint32_t offset_bytes) const;
  [[nodiscard]] Key low_of_record(ByteSpan block, std::uint32_t offset_bytes) const;
  [[nodiscard]] KeyRange range_of_leaf(ByteSpan block, std::uint32_t count) const;
  [[nodiscard]] KeyRange range_of_node(ByteSpan block, std::uint32_t count) const;

  GroupContext& context_;
  TreeRoot root_;
  BtreeLayout layout_;
  std::vector<Child> level_;  // the blocks of the level that is visited next, left to right
  std::vector<std::byte> last_record_;
  std::uint64_t blocks_ = 0;
  bool intact_ = true;
};

}  // namespace xdax::fsck
