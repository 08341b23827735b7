// Reference counts of a group: which blocks of files are shared, and which are staged for copy on write.
//
// What the tree does not mention is owned once, or free. Records of two kinds never mix: shared extents have a count of
// two or more, staging extents lie behind them in the order, have the top bit of their start set and a count of one.
// Source: XFS Algorithms & Data Structures, "Reference Count B+tree".
#pragma once

#include <cstdint>
#include <vector>

#include "libfs/format/btree_records.h"
#include "libfs/space/group.h"

namespace xdax {

class Refcounts {
 public:
  explicit Refcounts(Group& group) : group_(group), tree_(group, BtreeKind::kRefcount) {}

  /// Owners of the blocks at the start of `extent`, and how many of its blocks have as many. 1 for blocks that nothing
  /// mentions. The extent must not be empty.
  struct Run {
    std::uint32_t owners = 1;
    std::uint32_t length_blocks = 0;
  };
  [[nodiscard]] Run run_at(const GroupExtent& extent);

  /// One owner more of every block. Throws RefusalError (kNoSpace) when the tree cannot grow.
  void increase(const GroupExtent& extent);
  /// One owner less. Returns the extents that have none left; freeing them is the caller's.
  [[nodiscard]] std::vector<GroupExtent> decrease(const GroupExtent& extent);

  /// Stages blocks for copy on write, and takes them off that list again. Throws CorruptionError when some are not on
  /// it.
  void stage(const GroupExtent& extent);
  void unstage(const GroupExtent& extent);
  /// The first staged extent at or behind `from`; nothing when there is none.
  [[nodiscard]] std::optional<GroupExtent> next_staged(AgBlock from);

 private:
  struct Piece {
    std::uint32_t start = 0;  ///< as stored, the flag included
    std::uint32_t length = 0;
    std::uint32_t count = 0;
  };

  [[nodiscard]] std::vector<Piece> take_out(std::uint32_t start, std::uint32_t length);
  void put_in(std::vector<Piece> pieces);
  [[noreturn]] void corrupt(const GroupExtent& extent, const char* what) const;

  Group& group_;
  TypedTree<RefcountRecord> tree_;
};

}  // namespace xdax
