// Entries of one directory block, put in and taken out where they are: what is there already never moves, because its
// place is its cookie.
//
// Works on the bytes of a sound block of either form. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "libfs/base/bytes.h"
#include "libfs/format/dir_data.h"
#include "libfs/format/dir_entry.h"
#include "libfs/format/geometry.h"

namespace xdax {

/// What an entry says.
struct NewDirEntry {
  std::string_view name;
  InodeNumber ino;
  DirFileType type = DirFileType::kUnknown;
};

class DirDataEdit {
 public:
  DirDataEdit(MutableByteSpan block, DirDataForm form, bool file_type)
      : block_(block), form_(form), file_type_(file_type) {}

  /// Fills a block of zeros: all of it is unused. The header's identity is the caller's.
  void clear();
  /// The length of the largest unused region.
  [[nodiscard]] std::uint32_t largest() const;
  /// Bytes of entries, the dot names included, and how many entries there are.
  [[nodiscard]] std::uint32_t used_bytes() const;
  [[nodiscard]] std::uint32_t entries() const;

  /// Puts an entry into the first unused region that holds it; nothing when none does. Returns where it is, in bytes.
  [[nodiscard]] std::optional<std::uint32_t> add(const NewDirEntry& entry);
  /// Puts an entry where it must be: all of it in one unused region.
  void add_at(std::uint32_t at_bytes, const NewDirEntry& entry);
  /// Takes the entry at `at_bytes` out.
  void remove(std::uint32_t at_bytes);
  /// Names another inode in the entry at `at_bytes`.
  void replace(std::uint32_t at_bytes, InodeNumber ino, DirFileType type);

  /// Of the block form: the index without stale entries, and storing it. False when the unused region before it is too
  /// short for an index of so many entries; nothing is changed then.
  [[nodiscard]] std::vector<DirLeafEntry> index() const;
  [[nodiscard]] bool can_index(std::size_t entries) const;
  void set_index(const std::vector<DirLeafEntry>& entries);
  /// From the block form to the data form: the index becomes unused. The magic is the caller's.
  void drop_index();
  /// Makes room for an index at the end of a block of the data form, whose end is unused. The magic is the caller's.
  void make_index(const std::vector<DirLeafEntry>& entries);

 private:
  struct Region {
    std::uint32_t at = 0, length = 0;
    bool used = false;
  };
  template <class Use>
  void for_regions(const Use& use) const;
  /// A used one where there is none.
  [[nodiscard]] Region last_region() const;
  void put(const Region& room, std::uint32_t at_bytes, const NewDirEntry& entry);
  [[nodiscard]] std::uint32_t data_end() const;
  void set_unused(std::uint32_t at, std::uint32_t length);
  void set_data_end(std::uint32_t before, std::uint32_t after);
  void store_index(const std::vector<DirLeafEntry>& entries);
  void store_best();

  MutableByteSpan block_;
  DirDataForm form_;
  bool file_type_;
};

/// Adds an index entry in its place, or takes the one of an address out.
void insert_index(std::vector<DirLeafEntry>& index, std::uint32_t hash, std::uint32_t address);
/// False when there is none.
[[nodiscard]] bool erase_index(std::vector<DirLeafEntry>& index, std::uint32_t hash, std::uint32_t address);

}  // namespace xdax
