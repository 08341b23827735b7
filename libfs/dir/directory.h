// A directory, read: its entries in order with positions that keep their meaning, and the lookup of one name.
//
// A position (cookie) is where an entry lies, in units of 8 bytes from the start of the directory, as the kernel's
// readdir has it: it does not change while the entry lives, in whichever form the directory is. Entries inside the
// inode carry the position they would have in a block; "." and "..", which have none there, get those of a block.
//
//   form     entries          index                        told by
//   short    in the inode     -                            fork format
//   block    one block        end of the same block        the fork ends behind that block
//   leaf     blocks           one leaf at 32 GiB           the fork ends behind the leaf
//   node     blocks           tree of leaves at 32 GiB     the fork ends behind that
//
// Every block is verified before it is looked at. Not thread-safe; each user makes its own. Source: XFS Algorithms &
// Data Structures, "Directories".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libfs/da/da_reader.h"
#include "libfs/format/dir_data.h"
#include "libfs/format/dir_entry.h"
#include "libfs/inode/inode_reader.h"

namespace xdax {

enum class DirForm : std::uint8_t { kShort, kBlock, kLeaf, kNode };
[[nodiscard]] const char* to_string(DirForm form);

struct DirItem {
  std::string name;
  InodeNumber ino;
  DirFileType type = DirFileType::kUnknown;  ///< unknown where the filesystem does not store it
  std::uint64_t cookie = 0;                  ///< its position

  [[nodiscard]] bool dots() const { return name == "." || name == ".."; }
};

class Directory {
 public:
  /// Throws RefusalError (kBadArgument) for an inode that is no directory; CorruptionError, IoError, as all members do.
  Directory(const MetadataReader& reader, Inode inode);

  [[nodiscard]] DirForm form() const { return form_; }
  [[nodiscard]] InodeNumber ino() const { return inode_.ino(); }

  /// Some entries in order of position, "." and ".." included.
  struct Batch {
    std::vector<DirItem> items;
    std::uint64_t next = 0;  ///< where to read on
    bool end = false;        ///< there are no more behind these
  };
  /// Entries at or behind a position: those of one block at most. To go on behind an entry, read from its cookie + 1.
  [[nodiscard]] Batch read(std::uint64_t cookie);
  /// All entries but "." and "..", in order of position.
  [[nodiscard]] std::vector<DirItem> list();

  /// The entry of a name, found by its hash; "." and ".." too. Where names ignore case an equal name comes before one
  /// that differs in capitals.
  [[nodiscard]] std::optional<DirItem> lookup(std::string_view name);

 private:
  struct Candidate {
    std::optional<DirItem> item;
    bool exact = false;
  };

  [[nodiscard]] DirForm find_form();
  [[nodiscard]] std::vector<DirItem> short_items() const;
  const DaBlock& data_block(FileBlock at);
  [[nodiscard]] DirItem item_of(const DirEntry& entry, std::uint64_t cookie) const;
  [[nodiscard]] bool consider(Candidate& best, std::string_view name, std::uint32_t hash,
                              std::span<const DirLeafEntry> index);
  [[nodiscard]] std::optional<DirItem> item_at(std::uint32_t address);

  MetadataReader reader_;
  Inode inode_;
  DaReader blocks_;
  DirForm form_;
  std::optional<DaBlock> data_;  ///< the last block of entries, verified
};

}  // namespace xdax
