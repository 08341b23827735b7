// A directory inside its inode: the entries one behind the other in the data fork.
//
//   0 count  1 i8count  2 parent (4 bytes, or 8 when i8count is not 0)
//   then `count` entries: namelen, offset (2), name, file type, inode number (4 or 8)
//
// "." and ".." have no entries. `offset` is where the entry would lie in a block, so that positions of a reader survive
// the change of form. i8count says how many numbers, the parent's included, need 64 bits.
// Source: XFS Algorithms & Data Structures, "Shortform Directories".
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "libfs/base/bytes.h"
#include "libfs/base/endian.h"
#include "libfs/base/units.h"
#include "libfs/format/dir_entry.h"
#include "libfs/format/flaw.h"
#include "libfs/format/geometry.h"

namespace xdax {

/// Without the parent, whose width varies.
struct DirShortformHeader {
  std::uint8_t count;
  std::uint8_t i8count;
};
static_assert(sizeof(DirShortformHeader) == 2);

/// Without the name and what follows it.
struct DirShortformEntry {
  std::uint8_t namelen;
  be16 offset;
};
static_assert(sizeof(DirShortformEntry) == 3);

/// Walks the entries of a shortform directory; never leaves its bytes. `content` is the data fork up to the inode's
/// size.
class DirShortformCursor {
 public:
  DirShortformCursor(ByteSpan content, bool file_type);

  /// The next entry; nullopt at the end and when the next one would not fit.
  [[nodiscard]] std::optional<DirEntry> next();
  /// Where the last entry claims to lie in a block.
  [[nodiscard]] std::uint32_t tag() const { return tag_; }
  /// Nothing, when not even the header fits.
  [[nodiscard]] std::optional<InodeNumber> parent() const { return parent_; }
  /// Whether the entries or the header reach past the content.
  [[nodiscard]] bool broken() const { return broken_; }
  /// How far the walk has come.
  [[nodiscard]] std::size_t at_bytes() const { return at_; }

 private:
  [[nodiscard]] std::size_t number_bytes() const { return wide_ ? sizeof(be64) : sizeof(be32); }
  [[nodiscard]] InodeNumber number_at(std::size_t offset_bytes) const;

  ByteSpan content_;
  bool file_type_;
  bool wide_ = false;
  bool broken_ = false;
  std::optional<InodeNumber> parent_;
  std::uint32_t left_ = 0;
  std::uint32_t tag_ = 0;
  std::size_t at_ = 0;
};

/// Checks a shortform directory: that entries fill `content` exactly, names, types, numbers and offsets. `content` is
/// the data fork up to the inode's size, which verify_inode() has found inside the fork. Flaw offsets count from its
/// start.
[[nodiscard]] Flaws verify_dir_shortform(ByteSpan content, const Geometry& geometry);

}  // namespace xdax
