// The B+tree: one algorithm for seven trees.
//
// Records and keys are bytes here, described by a BtreeLayout and a BtreeOrder; typed faces are in libfs/space and
// libfs/inode. A tree keeps its blocks at least half full, shifts to a neighbour under the same parent before it
// splits, and merges with one when that fits. All changes are made in one transaction, so that a tree that throws in
// the middle was never changed.
//
// The object has one position, at a record; inserting and erasing move it. Bytes from disk are verified as they are
// read, and levels only descend, so that no tree, however damaged, costs more than its height for a step.
// Not thread-safe. Source: XFS Algorithms & Data Structures, "B+trees".
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "libfs/btree/btree_order.h"
#include "libfs/btree/btree_store.h"
#include "libfs/format/btree_block.h"
#include "libfs/journal/transaction.h"

namespace xdax {

class Btree {
 public:
  /// All must outlive it.
  Btree(Transaction& transaction, BtreeStore& store, BtreeKind kind);

  /// Moves to the last record whose key is at most `key`, or to the first whose key is at least `key`. False when there
  /// is none. Throws CorruptionError, IoError; so do the others.
  [[nodiscard]] bool find_at_most(ByteSpan key);
  [[nodiscard]] bool find_at_least(ByteSpan key);
  [[nodiscard]] bool find_first();
  [[nodiscard]] bool find_last();
  /// Moves on. False, and the position is lost, when there is no other.
  [[nodiscard]] bool next();
  [[nodiscard]] bool previous();
  /// The record at the position. Valid until the tree changes.
  [[nodiscard]] ByteSpan record();

  /// Replaces the record at the position by one that stays in the same place of the order.
  void update(ByteSpan record);
  /// Adds a record whose key is not there. The position is lost. Throws RefusalError (kNoSpace).
  void insert(ByteSpan record);
  /// Takes the record at the position out. The position is lost.
  void erase();

  /// Calls `use` for every record whose interval meets [low, high], both keys, in order; until it returns false. Of
  /// trees of overlapping intervals only. The tree must not be changed meanwhile.
  void overlapping(ByteSpan low, ByteSpan high, const std::function<bool(ByteSpan record)>& use);

 private:
  struct Step {
    std::uint64_t pointer = 0;
    std::uint32_t index = 0;
  };
  /// A block, or the root in an inode, to look at.
  struct Node {
    ByteSpan bytes;
    std::uint32_t level = 0;
    bool embedded = false;
  };
  struct ChangedNode {
    MutableByteSpan bytes;
    std::uint32_t level = 0;
    bool embedded = false;
  };

  [[nodiscard]] bool is_embedded_root(std::uint32_t level) const { return embedded_ && level + 1 == path_.size(); }
  [[nodiscard]] Node node(std::uint32_t level);
  [[nodiscard]] Node read(std::uint64_t pointer, std::uint32_t level);
  [[nodiscard]] ChangedNode change(std::uint32_t level);
  [[nodiscard]] ChangedNode change_block(std::uint64_t pointer, std::uint32_t level);
  [[nodiscard]] static std::uint32_t count(const Node& node);
  static void set_count(const ChangedNode& node, std::uint32_t count);
  [[nodiscard]] static Node looked_at(const ChangedNode& node);

  // Offsets that depend on where a node lies.
  [[nodiscard]] std::uint32_t max_entries(const Node& node) const;
  [[nodiscard]] std::uint32_t key_offset(const Node& node, std::uint32_t index) const;
  [[nodiscard]] std::uint32_t pointer_offset(const Node& node, std::uint32_t index) const;
  [[nodiscard]] std::uint64_t pointer_at(const Node& node, std::uint32_t index) const;
  void set_pointer(const ChangedNode& node, std::uint32_t index, std::uint64_t pointer) const;

  /// The key, or the pair of keys, that a parent keeps of a node.
  [[nodiscard]] std::vector<std::byte> keys_of(const Node& node) const;
  void open_gap(const ChangedNode& node, std::uint32_t index) const;
  void close_gap(const ChangedNode& node, std::uint32_t index) const;
  void move_entries(const ChangedNode& from, std::uint32_t from_index, const ChangedNode& to, std::uint32_t to_index,
                    std::uint32_t entries) const;

  void start_path();
  void descend(ByteSpan key);
  void descend_edge(bool last);
  [[nodiscard]] std::uint32_t entries_at_most(const Node& node, ByteSpan key) const;
  void refresh_keys(std::uint32_t level);
  void make_room(std::uint32_t level);
  void grow_root();
  void split(std::uint32_t level);
  [[nodiscard]] bool shift(std::uint32_t level, bool left);
  void rebalance(std::uint32_t level);
  void shrink_root();
  void merge(std::uint32_t level, std::uint32_t left_index);
  void even_out(std::uint32_t level, std::uint32_t left_index);
  [[nodiscard]] std::uint64_t new_block(std::uint32_t level, std::uint64_t near);
  void remove_block(std::uint64_t pointer, std::uint32_t level);
  void link(std::uint64_t pointer, std::uint32_t level, bool right, std::uint64_t sibling);
  [[nodiscard]] std::uint64_t sibling(const Node& node, bool right) const;
  bool visit(const Node& node, ByteSpan low, ByteSpan high, const std::function<bool(ByteSpan)>& use);

  Transaction& transaction_;
  BtreeStore& store_;
  BtreeLayout layout_;
  const BtreeOrder& order_;
  std::uint32_t record_bytes_, key_bytes_, keys_bytes_;
  bool embedded_;
  std::vector<Step> path_;  ///< by level, leaf first
};

}  // namespace xdax
