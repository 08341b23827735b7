// Attributes inside the inode: one behind the other in the attribute fork.
//
//   0 totsize  2 count  3 padding  4 `count` entries: namelen, valuelen, flags, name, value
//
// totsize counts all of it, the header included. Source: XFS Algorithms & Data Structures, "Shortform Attributes".
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "libfs/base/bytes.h"
#include "libfs/base/endian.h"
#include "libfs/format/attr_entry.h"
#include "libfs/format/flaw.h"
#include "libfs/format/geometry.h"

namespace xdax {

struct AttrShortformHeader {
  be16 totsize;
  std::uint8_t count;
  std::uint8_t padding;
};
static_assert(sizeof(AttrShortformHeader) == 4);

/// Without the name and value.
struct AttrShortformEntry {
  std::uint8_t namelen;
  std::uint8_t valuelen;
  std::uint8_t flags;
};
static_assert(sizeof(AttrShortformEntry) == 3);

/// Walks the attributes of a fork; never leaves the smaller of its bytes and totsize.
class AttrShortformCursor {
 public:
  explicit AttrShortformCursor(ByteSpan fork);

  /// The next attribute; nullopt at the end and when the next one would not fit.
  [[nodiscard]] std::optional<AttrEntry> next();
  [[nodiscard]] bool broken() const { return broken_; }
  [[nodiscard]] std::size_t at_bytes() const { return at_; }

 private:
  ByteSpan content_;
  bool broken_ = false;
  std::uint32_t left_ = 0;
  std::size_t at_ = 0;
};

/// Checks attributes inside an inode: that they fill totsize exactly, flags and names. `fork` is the whole attribute
/// fork. Flaw offsets count from its start.
[[nodiscard]] Flaws verify_attr_shortform(ByteSpan fork, const Geometry& geometry);

}  // namespace xdax
