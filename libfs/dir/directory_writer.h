// A directory, to be changed: names put in, taken out and pointed elsewhere, in whichever form it is.
//
// The form follows the content both ways: inside the inode, one block, blocks with a single leaf of hashes, blocks with
// a tree of them. An entry keeps its position while it lives, except that what grows out of the inode or goes back
// keeps the position it had there. Links, times and parent pointers are the caller's. Not thread-safe: it works inside
// one transaction. Source: XFS Algorithms & Data Structures, "Directories".
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libfs/da/da_tree_writer.h"
#include "libfs/dir/dir_data_edit.h"
#include "libfs/dir/directory.h"
#include "libfs/inode/fork_writer.h"
#include "libfs/inode/inode_edit.h"

namespace xdax {

class DirectoryWriter {
 public:
  /// Throws RefusalError: kNotFound for an inode that is not in use, kNotDirectory; CorruptionError, IoError, as all
  /// do.
  DirectoryWriter(Transaction& transaction, InodeNumber ino);

  /// Makes a new inode an empty directory in `parent`.
  static void make_empty(const InodeEdit& inode, InodeNumber parent);

  [[nodiscard]] std::optional<DirItem> lookup(std::string_view name);
  /// Whether it holds nothing but the dot names.
  [[nodiscard]] bool empty();
  /// Of a directory inside its inode: moves it into a block, so that attributes have room.
  void leave_inode();
  /// Adds a name that is not there. Throws RefusalError: kNoSpace, kBadArgument for a name that cannot be.
  void add(const NewDirEntry& entry);
  /// Takes a name out. Throws RefusalError (kNotFound).
  void remove(std::string_view name);
  /// Points a name, or "..", at another inode. Throws RefusalError (kNotFound).
  void replace(std::string_view name, InodeNumber ino, DirFileType type);

 private:
  struct ShortEntry {
    std::string name;
    InodeNumber ino;
    DirFileType type = DirFileType::kUnknown;
    std::uint32_t tag = 0;
  };
  struct Short {
    InodeNumber parent;
    std::vector<ShortEntry> entries;
  };
  /// A block of entries that has room, or the number of one that would.
  struct Room {
    std::uint32_t number = 0;
    bool exists = false;
  };
  /// What a single leaf holds.
  struct Leaf {
    std::vector<DirLeafEntry> entries;
    std::vector<std::uint16_t> bests;
  };

  [[nodiscard]] const Geometry& geometry() const { return inode_.geometry(); }
  [[nodiscard]] Directory reader();
  [[nodiscard]] DirForm form();
  [[nodiscard]] std::uint32_t hash_of(std::string_view name) const;
  [[nodiscard]] std::uint32_t address_of(FileBlock data, std::uint32_t at_bytes) const;
  [[nodiscard]] DirItem require(std::string_view name);

  // Inside the inode.
  [[nodiscard]] Short read_short();
  [[nodiscard]] bool store_short(const Short& content);
  [[nodiscard]] bool add_short(const NewDirEntry& entry);
  void short_to_block();

  // Blocks of entries.
  [[nodiscard]] DaTreeWriter tree(ForkWriter& fork) const;
  [[nodiscard]] MetadataIdentity identity(FileBlock at, MetadataKind kind) const;
  [[nodiscard]] DirDataEdit edit(ForkWriter& fork, FileBlock at, DirDataForm form);
  [[nodiscard]] DirDataEdit new_block(ForkWriter& fork, FileBlock at, DirDataForm form);
  void fill_info(MutableByteSpan block, std::uint32_t magic, const BlockPlace& at) const;
  [[nodiscard]] FileBlock data_file_block(std::uint32_t number) const;
  [[nodiscard]] std::uint32_t data_blocks() const;
  void note_data_block(std::uint32_t number);
  void free_data_block(ForkWriter& fork, std::uint32_t number);
  /// Puts an entry into a block that has room, or a new one; returns where, and the largest region left there.
  struct Placed {
    std::uint32_t address = 0;
    std::uint16_t best = 0;
  };
  [[nodiscard]] Placed put_entry(ForkWriter& fork, const Room& room, const NewDirEntry& entry);
  /// Takes an entry out of its block; the largest region left there, or kNoDataBlock when the block went too.
  [[nodiscard]] std::uint16_t take_entry(ForkWriter& fork, const DirItem& item);

  // One block.
  [[nodiscard]] bool add_block(const NewDirEntry& entry);
  void block_to_leaf();
  void block_to_short();

  // A single leaf.
  [[nodiscard]] Leaf read_leaf(ForkWriter& fork);
  [[nodiscard]] bool fits_leaf(const Leaf& leaf) const;
  void store_leaf(ForkWriter& fork, const Leaf& leaf);
  [[nodiscard]] bool add_leaf(const NewDirEntry& entry);
  void leaf_to_node();
  void leaf_to_block();

  // A tree.
  void add_node(const NewDirEntry& entry);
  void insert_hash(ForkWriter& fork, std::uint32_t hash, std::uint32_t address);
  void erase_hash(ForkWriter& fork, std::uint32_t hash, std::uint32_t address);
  [[nodiscard]] Room find_room(ForkWriter& fork, std::uint32_t needed_bytes);
  void set_best(ForkWriter& fork, std::uint32_t number, std::uint16_t best);
  void node_to_leaf();

  void remove_from_block(std::string_view name, const DirItem& item);
  void remove_from_leaf(std::string_view name, const DirItem& item);
  void remove_from_node(std::string_view name, const DirItem& item);
  [[noreturn]] void corrupt(const char* what) const;

  Transaction& transaction_;
  InodeEdit inode_;
};

/// To be called before an inode gets attributes: they need room that a directory inside its inode may have taken.
void make_room_for_attributes(const InodeEdit& inode);

}  // namespace xdax
