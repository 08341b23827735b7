// The hash tree that directories and attributes share, to be changed: leaves are added and taken out, and the nodes
// above follow.
//
// The root keeps its place in the file: when it splits its content moves away, and when it has one child left that
// moves into it. What is in a leaf is its owner's business; here it is bytes behind the common header. Not thread-safe:
// it works inside one transaction. Source: XFS Algorithms & Data Structures, "Node Directories".
#pragma once

#include <cstdint>
#include <vector>

#include "libfs/format/da_node.h"
#include "libfs/format/metadata_block.h"
#include "libfs/inode/fork_writer.h"

namespace xdax {

class DaTreeWriter {
 public:
  struct Kinds {
    MetadataKind node{};
    MetadataKind leaf{};
  };
  struct Step {
    FileBlock block;
    std::uint32_t index = 0;  ///< of the entry that leads on
  };
  /// Nodes from the root down, and the leaf.
  struct Path {
    std::vector<Step> nodes;
    FileBlock leaf;
  };

  /// `block_length` is in filesystem blocks. The fork must outlive it.
  DaTreeWriter(ForkWriter& fork, FileBlock root, Kinds kinds, std::uint32_t block_length);

  /// The first leaf that may hold `hash`; the last one when none has as great a hash. Throws CorruptionError, IoError;
  /// so do the others.
  [[nodiscard]] Path find(std::uint32_t hash);
  /// Goes on to the leaf behind. False, and the path stays, when there is none.
  [[nodiscard]] bool next_leaf(Path& path);
  /// Whether the root is itself the only leaf.
  [[nodiscard]] bool single_leaf() { return !root_is_node(); }
  [[nodiscard]] FileBlock root() const { return root_; }

  /// A leaf to look at or to change; any block of the fork.
  [[nodiscard]] ByteSpan read(FileBlock at, MetadataKind kind);
  [[nodiscard]] MutableByteSpan change(FileBlock at, MetadataKind kind);
  [[nodiscard]] ByteSpan leaf(const Path& path) { return read(path.leaf, kinds_.leaf); }
  [[nodiscard]] MutableByteSpan change_leaf(const Path& path) { return change(path.leaf, kinds_.leaf); }

  /// Makes an empty leaf behind the one at `path`, common header and links filled in, and returns where it is. The
  /// root's content moves first when it is the leaf: `path` follows. Its hash must be set with add_leaf() once it is
  /// known. Throws RefusalError (kNoSpace).
  [[nodiscard]] FileBlock new_leaf_behind(Path& path);
  /// Puts a leaf made by new_leaf_behind() into the tree; both greatest hashes are as they are now.
  void add_leaf(Path& path, FileBlock fresh, std::uint32_t hash, std::uint32_t fresh_hash);
  /// Says what the greatest hash of a leaf is now.
  void set_hash(const Path& path, std::uint32_t hash);
  /// Takes an empty leaf out and frees it. The root is never taken out.
  void remove_leaf(const Path& path);

  /// Allocates a block at `at` and maps it; its common header is filled in and the rest is zero.
  MutableByteSpan create(FileBlock at, MetadataKind kind, std::uint16_t magic);
  void free_block(FileBlock at);
  [[nodiscard]] BlockPlace place(FileBlock at);

 private:
  [[nodiscard]] MetadataIdentity identity(FileBlock at, MetadataKind kind) const;
  Extent bring_together(FileBlock at);
  [[nodiscard]] bool root_is_node();
  [[nodiscard]] FileBlock free_file_block();
  [[nodiscard]] std::uint32_t most_entries() const;
  void move_root(Path& path);
  [[nodiscard]] bool full(FileBlock node);
  [[nodiscard]] Path path_to(FileBlock leaf, std::uint32_t hash);
  void make_room(const Path& path, std::size_t depth);
  void insert_entry(const Path& path, std::size_t depth, DaNodeEntry entry);
  void split_node(const Path& path, std::size_t depth);
  void remove_entry(const Path& path, std::size_t depth);
  void pull_up_root();
  void unlink(FileBlock at, MetadataKind kind);
  [[noreturn]] void corrupt(const char* what) const;

  ForkWriter& fork_;
  FileBlock root_;
  Kinds kinds_;
  std::uint32_t block_length_;
};

}  // namespace xdax
