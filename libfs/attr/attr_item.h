// Attributes on their way between forms: decoded, with the hash they are sorted by, and the sizes they take.
//
// An item looks into bytes that whoever decoded it keeps. Its flags are its namespace and whether it is incomplete;
// that a value stands beside its name is for the form to say. Source: XFS Algorithms & Data Structures, "Extended
// Attributes".
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "libfs/base/bytes.h"
#include "libfs/format/attr_entry.h"
#include "libfs/format/geometry.h"

namespace xdax {

struct AttrItem {
  AttrEntry entry;
  std::uint32_t hash = 0;
};

/// What makes an attribute another one: namespace and name, and of a parent pointer the value.
struct AttrKey {
  std::uint8_t space = 0;
  std::string_view name;
  ByteSpan parent;  ///< empty unless it is a parent pointer
  std::uint32_t hash = 0;

  /// Attributes that were never finished are not there.
  [[nodiscard]] bool names(const AttrItem& item) const;
};

/// Items and the bytes they look into.
class AttrItems {
 public:
  AttrItems() = default;
  AttrItems(const AttrItems&) = delete;
  AttrItems& operator=(const AttrItems&) = delete;
  AttrItems(AttrItems&&) = default;
  AttrItems& operator=(AttrItems&&) = default;

  [[nodiscard]] static AttrItems of_shortform(ByteSpan fork, const Geometry& geometry);
  /// Throws nothing: the block was verified.
  [[nodiscard]] static AttrItems of_leaf(ByteSpan block);

  [[nodiscard]] std::optional<std::size_t> find(const AttrKey& key) const;

  std::vector<AttrItem> items;

 private:
  std::vector<std::byte> bytes_;
};

/// Bytes of the attribute fork that holds all of `items`; nothing when they cannot lie in an inode.
[[nodiscard]] std::optional<std::uint32_t> attr_shortform_bytes(const std::vector<AttrItem>& items);
void write_attr_shortform(MutableByteSpan fork, const std::vector<AttrItem>& items);

/// Bytes an item takes in a leaf, with its entry; and what a leaf has for items.
[[nodiscard]] std::uint32_t attr_leaf_item_bytes(const AttrItem& item);
[[nodiscard]] std::uint32_t attr_leaf_capacity_bytes(std::uint32_t block_bytes);
/// Where to cut `items` so that each part fits a leaf and the largest is as small as can be: the end of every part.
[[nodiscard]] std::vector<std::size_t> divide_attr_items(const std::vector<AttrItem>& items, std::uint32_t block_bytes);
/// Writes a leaf anew but for its common header. Names that were there stay in their order, so that next to nothing of
/// the block changes when one is added.
void write_attr_leaf(MutableByteSpan block, std::span<const AttrItem> items);

}  // namespace xdax
