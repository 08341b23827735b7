// Who says that blocks of a group are his.
//
// Every structure that is walked claims its blocks. A block may have one claim; what nobody claims is a file's or
// unknown. Free extents are kept apart, as they come sorted and there may be many. Not thread-safe; each group has its
// own.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "fsck/finding.h"
#include "fsck/intervals.h"
#include "libfs/base/units.h"
#include "libfs/format/btree_block.h"

namespace xdax::fsck {

enum class Claimant : std::uint8_t {
  kNobody = 0,
  kFree,
  kHeaders,
  kLog,
  kFreeList,
  kBnobt,
  kCntbt,
  kRmapbt,
  kInobt,
  kFinobt,
  kRefcountbt,
  kInodes,
  kCowStaging,
  kShared,  ///< shared blocks of files, as the reference count tree says
};

[[nodiscard]] const char* to_string(Claimant claimant);
[[nodiscard]] Claimant claimant_of(BtreeKind kind);

/// The owner that the reverse map gives to the blocks of a claimant; 0 for those it lists under files or not at all.
[[nodiscard]] std::uint64_t reverse_map_owner(Claimant claimant);
/// The same owner in words, for messages: "the log", "inode 133".
[[nodiscard]] std::string describe_owner(std::uint64_t owner);

struct Blocks {
  AgBlock start;
  std::uint32_t length = 1;
};

class Claims {
 public:
  void add(Claimant claimant, Blocks blocks);

  /// Sorts the claims and reports blocks with more than one, among themselves and with the free extents (sorted,
  /// without overlaps). Called once, after the last add().
  void settle(std::span<const Interval> free_extents, const Finding& place, FindingSink& findings);

  /// After settle(): who owns what by the reverse map's names, sorted, merged, without overlaps.
  [[nodiscard]] std::vector<Interval> reverse_map_view() const;
  /// After settle(): everything that was claimed, sorted by start.
  [[nodiscard]] std::span<const Interval> all() const { return claims_; }

 private:
  std::vector<Interval> claims_;
};

}  // namespace xdax::fsck
