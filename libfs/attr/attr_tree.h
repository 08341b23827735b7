// Attributes in blocks: one leaf, or leaves under a tree of hashes. The tree grows and shrinks with them.
//
// The root is file block 0 for good. A leaf that is too small for its items is divided, and so is a node; one that is
// empty goes, and neighbours under one node that fit one block are joined. A node keeps the greatest hash below each
// child. Items of one hash may lie in several leaves, one behind the other. Items are written as they are given: blocks
// of values are the caller's. Not thread-safe. Source: XFS Algorithms & Data Structures, "Leaf Attributes", "Node
// Attributes".
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "libfs/attr/attr_item.h"
#include "libfs/format/da_node.h"
#include "libfs/inode/fork_writer.h"

namespace xdax {

class AttrTree {
 public:
  /// Of a fork in extents or btree format that maps file block 0, or nothing yet. Must outlive it. Throws
  /// CorruptionError, IoError, as all members do.
  explicit AttrTree(ForkWriter& fork);

  /// Whether there is a root. Without one, make_root() comes first.
  [[nodiscard]] bool exists() const { return exists_; }
  /// An empty leaf, which store() must fill.
  void make_root();

  /// The leaf of an item, and which one it is.
  struct Place {
    struct Step {
      FileBlock at;
      std::uint32_t index = 0;  ///< the entry that leads on
    };
    std::vector<Step> nodes;  ///< from the root down
    FileBlock leaf;
    AttrItems content;
    std::size_t index = 0;
  };
  [[nodiscard]] std::optional<Place> find(const AttrKey& key);
  /// Where an item of this hash goes: into its leaf, before `index`.
  [[nodiscard]] Place place_for(std::uint32_t hash);

  /// Stores the changed content of a place, in as many leaves as it takes. The place is used up. Throws RefusalError
  /// (kNoSpace).
  void store(Place&& place);
  /// Joins what fits one block around the leaf of a hash, after items have gone.
  void join_around(std::uint32_t hash);
  /// The items, when one leaf has all of them.
  [[nodiscard]] std::optional<AttrItems> only_leaf();
  /// Frees the root, which must be a leaf that names no value, and what the fork has beside it: blocks of values that
  /// were never finished.
  void remove_root();

 private:
  struct Child {
    std::uint32_t hash = 0;
    FileBlock at;
  };

  [[nodiscard]] const InodeEdit& inode() const { return fork_.inode(); }
  [[nodiscard]] Transaction& transaction() { return fork_.inode().transaction(); }
  [[nodiscard]] std::uint32_t block_bytes() const { return fork_.inode().geometry().block_bytes; }
  [[nodiscard]] MetadataIdentity identity(FileBlock at, bool node) const;
  [[nodiscard]] BlockPlace place_of(FileBlock at);
  [[nodiscard]] ByteSpan read(FileBlock at, bool node) { return transaction().read(place_of(at), identity(at, node)); }
  [[nodiscard]] MutableByteSpan change(FileBlock at, bool node) {
    return transaction().change(place_of(at), identity(at, node));
  }
  /// The entries of a node at `level`, or of the root when it is 0.
  [[nodiscard]] std::vector<Child> children(FileBlock at, std::uint32_t level);
  [[nodiscard]] std::uint32_t root_level();
  void write_children(FileBlock at, const std::vector<Child>& children);
  [[nodiscard]] std::uint32_t most_children() const;
  [[noreturn]] void corrupt(const char* what) const;

  void descend(Place& place, std::uint32_t hash);
  void descend_left(Place& place, FileBlock at, std::uint32_t level);
  [[nodiscard]] bool next(Place& place);

  [[nodiscard]] FileBlock new_block(bool node, std::uint16_t level);
  void fill_info(MutableByteSpan block, FileBlock at, bool node);
  void free_block(FileBlock at, bool node);
  void link_behind(FileBlock at, FileBlock fresh, bool node);
  void unlink(FileBlock at, bool node);
  void grow_root(Place& place);
  void shrink_root();
  /// The node `depth` steps down leads to `with` instead of to `count` children from where the path goes.
  void replace(Place& place, std::size_t depth, std::uint32_t count, const std::vector<Child>& with);
  [[nodiscard]] bool join_leaves(Place& place, std::uint32_t left);
  [[nodiscard]] bool join_nodes(Place& place, std::size_t depth, std::uint32_t left);

  ForkWriter& fork_;
  bool exists_ = false;
  bool root_is_node_ = false;
};

}  // namespace xdax
