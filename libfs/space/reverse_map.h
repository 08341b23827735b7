// The reverse map of a group: who owns which extent. Kept in step with every allocation, where the feature is on.
#pragma once

#include <cstdint>
#include <optional>

#include "libfs/format/btree_records.h"
#include "libfs/space/group.h"

namespace xdax {

/// Who an extent belongs to, as a reverse-map record says it: for a file, the file block of its first block and the
/// flags.
struct ExtentOwner {
  std::uint64_t owner = rmap::kOwnerNull;
  std::uint64_t offset = 0;

  /// Of special owners and of blocks of extent maps the offset does not move with the block.
  [[nodiscard]] bool moves() const { return !rmap::is_special(owner) && (offset & rmap::kBmapBlock) == 0; }
  /// The owner of what begins `blocks` further on.
  [[nodiscard]] ExtentOwner further(std::uint32_t blocks) const {
    return {.owner = owner, .offset = moves() ? offset + blocks : offset};
  }
};

class ReverseMap {
 public:
  explicit ReverseMap(Group& group) : group_(group), tree_(group, BtreeKind::kRmap) {}

  /// Records an extent, joined with what it continues. Without the feature nothing is done; so it is with the others.
  void add(const GroupExtent& extent, const ExtentOwner& owner);
  /// Takes an extent out of the record that holds it. Throws CorruptionError when there is none.
  void remove(const GroupExtent& extent, const ExtentOwner& owner);
  /// Takes an extent out whoever owns it, when one record holds it all; nothing when no record touches it. Throws
  /// CorruptionError for anything between.
  void remove_any(const GroupExtent& extent);

 private:
  [[nodiscard]] std::optional<RmapRecord> find(AgBlock block, const ExtentOwner& owner);
  void cut(const RmapRecord& record, const GroupExtent& extent);
  void erase(const RmapRecord& record);
  [[nodiscard]] bool enabled() const { return group_.geometry().features.rmapbt(); }
  [[noreturn]] void corrupt(const GroupExtent& extent) const;

  Group& group_;
  TypedTree<RmapRecord> tree_;
};

}  // namespace xdax
