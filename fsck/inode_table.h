// What is known of every inode, in a few bytes each: where chunks lie, which inodes are in use, their types, and how
// many of their links have not been found yet.
//
// A group's part is laid out once its inode tree has been read; then the scans fill it in from several threads. An
// inode's place is its chunk's index times 64 plus its own: five bytes an inode, and a directory has a record besides.
// Thread-safe as each member says.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "libfs/base/units.h"
#include "libfs/format/btree_records.h"
#include "libfs/format/geometry.h"
#include "libfs/format/inode.h"

namespace xdax::fsck {

/// A chunk as the inode tree has it.
struct ChunkPlace {
  AgInode start;
  std::uint16_t holemask = 0;
  std::uint64_t free_mask = 0;

  [[nodiscard]] std::uint64_t existing_mask() const;
};

/// A directory and its parent, once as it says itself and once as the entry says that names it.
struct DirectoryRecord {
  std::uint32_t place = 0;
  InodeNumber said = kNullInode;
  InodeNumber seen = kNullInode;
  bool twice = false;  ///< more than one entry names it; `seen` is the lowest of the directories that have one
};

namespace inode_marks {
inline constexpr std::uint8_t kTypeMask = 0x0f;  ///< the upper four bits of the mode
inline constexpr std::uint8_t kRead = 0x10;      ///< it was read and is what it should be: type and links are right
inline constexpr std::uint8_t kUnlinked = 0x20;  ///< a list of unlinked inodes has it
inline constexpr std::uint8_t kNoLinks = 0x40;   ///< its own count is zero
inline constexpr std::uint8_t kPinned = 0x80;    ///< its count overflowed and says nothing
}  // namespace inode_marks

class GroupInodes {
 public:
  std::vector<ChunkPlace> chunks;  ///< in order, without overlaps
  /// The inode tree was read as a whole: what is not in a chunk is no inode.
  bool intact = false;
  std::vector<DirectoryRecord> directories;  ///< in order of place

  /// Makes room for what is known of each inode. Call once, after the chunks are set.
  void lay_out();
  [[nodiscard]] std::uint32_t places() const {
    return static_cast<std::uint32_t>(chunks.size()) * limits::kInodesPerChunk;
  }
  [[nodiscard]] AgInode inode_at(std::uint32_t place) const {
    return chunks[place / limits::kInodesPerChunk].start + place % limits::kInodesPerChunk;
  }
  /// Where an inode is; nothing when it is in no chunk, or in a hole of one.
  [[nodiscard]] std::optional<std::uint32_t> find(AgInode inode) const {
    std::size_t chunk = 0;
    return find(inode, chunk);
  }
  /// The same for who asks for neighbours: `chunk` is the index of the chunk found last, which is looked at first.
  [[nodiscard]] std::optional<std::uint32_t> find(AgInode inode, std::size_t& chunk) const;
  [[nodiscard]] bool in_use(std::uint32_t place) const {
    return (chunks[place / limits::kInodesPerChunk].free_mask >> (place % limits::kInodesPerChunk) & 1) == 0;
  }
  [[nodiscard]] DirectoryRecord* directory(std::uint32_t place);

  // Marks are set by the thread that reads the inode, links taken by all.
  [[nodiscard]] std::uint8_t marks(std::uint32_t place) const { return marks_[place].load(std::memory_order_relaxed); }
  void add_marks(std::uint32_t place, std::uint8_t marks) { marks_[place].fetch_or(marks, std::memory_order_relaxed); }
  /// The inode's own count, before any link is found.
  void set_links(std::uint32_t place, std::uint32_t links) { links_[place].store(links, std::memory_order_relaxed); }
  void take_link(std::uint32_t place) { links_[place].fetch_sub(1, std::memory_order_relaxed); }
  /// The count less the links found, modulo 2^32.
  [[nodiscard]] std::uint32_t links_left(std::uint32_t place) const {
    return links_[place].load(std::memory_order_relaxed);
  }

 private:
  std::unique_ptr<std::atomic<std::uint32_t>[]> links_;
  std::unique_ptr<std::atomic<std::uint8_t>[]> marks_;
};

/// An inode found in the table.
struct InodePlace {
  GroupInodes* group = nullptr;
  std::uint32_t place = 0;
};

class InodeTable {
 public:
  InodeTable(const Geometry& geometry, std::uint64_t groups)
      : geometry_(geometry), groups_(static_cast<std::size_t>(groups)) {}

  [[nodiscard]] std::uint64_t group_count() const { return groups_.size(); }
  [[nodiscard]] GroupInodes& group(std::uint64_t ag) { return groups_[static_cast<std::size_t>(ag)]; }
  [[nodiscard]] const GroupInodes& group(std::uint64_t ag) const { return groups_[static_cast<std::size_t>(ag)]; }
  /// Any number is allowed.
  [[nodiscard]] std::optional<InodePlace> find(InodeNumber ino) {
    std::size_t chunk = 0;
    return find(ino, chunk);
  }
  /// The same; `chunk` as in GroupInodes::find().
  [[nodiscard]] std::optional<InodePlace> find(InodeNumber ino, std::size_t& chunk);
  [[nodiscard]] InodeNumber number(std::uint64_t ag, std::uint32_t place) const {
    return geometry_.inode_number(AgNumber(static_cast<std::uint32_t>(ag)), group(ag).inode_at(place));
  }
  /// Whether every inode that exists is in the table.
  [[nodiscard]] bool intact() const;

 private:
  const Geometry& geometry_;
  std::vector<GroupInodes> groups_;
};

}  // namespace xdax::fsck
