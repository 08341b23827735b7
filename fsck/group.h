// All checks of one allocation group, which needs nothing from any other: groups run side by side.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <optional>

#include "fsck/extent_sums.h"
#include "fsck/finding.h"
#include "fsck/group_context.h"
#include "fsck/inode_table.h"
#include "libfs/device/device.h"
#include "libfs/format/geometry.h"
#include "libfs/format/superblock.h"

namespace xdax::fsck {

/// Comparisons that need a structure as a whole. One that is damaged makes them impossible, which is said and never
/// hidden.
enum class CrossCheck : std::uint8_t {
  kFreeSpaceTrees,  ///< bnobt against cntbt
  kFreeSpaceCounts,
  kInodeTrees,  ///< inobt against finobt
  kInodeCounts,
  kOwnership,  ///< one claim a block
  kReverseMap,
  kRefcounts,
  kTotals,   ///< the superblock's counters
  kExtents,  ///< what files map against the reverse map, or free space and reference counts
  kLinks,    ///< link counts against entries
  kParents,  ///< parent pointers against entries
};
inline constexpr std::size_t kCrossCheckCount = 11;
/// What it compares, for messages.
[[nodiscard]] const char* to_string(CrossCheck check);

/// How many groups could not have each of the comparisons.
class SkippedChecks {
 public:
  void add(CrossCheck check, std::uint64_t groups = 1) { counts_[static_cast<std::size_t>(check)] += groups; }
  void join(const SkippedChecks& other) {
    for (std::size_t i = 0; i < kCrossCheckCount; ++i) counts_[i] += other.counts_[i];
  }
  [[nodiscard]] std::uint64_t count(CrossCheck check) const { return counts_[static_cast<std::size_t>(check)]; }
  [[nodiscard]] bool any() const {
    return std::any_of(counts_.begin(), counts_.end(), [](std::uint64_t count) { return count != 0; });
  }

 private:
  std::array<std::uint64_t, kCrossCheckCount> counts_{};
};

/// Where a list of unlinked inodes begins.
struct UnlinkedHead {
  std::uint32_t bucket = 0;
  AgInode head;
};

/// What the check of files needs to know of a group.
struct GroupFacts {
  std::vector<ChunkPlace> chunks;  ///< in order, without overlaps
  bool inodes_intact = false;
  std::vector<UnlinkedHead> unlinked;
  std::vector<Interval> shared;  ///< as the reference counts say
  /// The reverse map was read as a whole: the sum of what it gives to files.
  std::optional<Sum128> owned;
  /// Free space, metadata and reference counts are known as a whole: the sum of what files must use.
  std::optional<Sum128> covered;
  /// What is known to be free, in order; only when asked for.
  std::vector<Interval> free;
};

struct GroupOptions {
  const Superblock& reference;
  std::optional<LogSequence> log_head;
  /// Only what each sector says by itself: a dirty log may hold what makes the rest agree.
  bool headers_only = false;
  /// With it, the facts are gathered too.
  const ExtentHash* hash = nullptr;
  /// With it and the hash: gets how many files each block must belong to, where that is known.
  std::vector<Interval>* cover = nullptr;
  /// With the hash: the facts say what is free.
  bool keep_free = false;
  /// Called kGroupSteps times a group, from the thread that checks it.
  std::function<void()> step;
};
inline constexpr std::uint64_t kGroupSteps = 5;

struct GroupTotals {
  std::uint64_t free_blocks =
      0;  ///< as the superblock counts them: free, in the free list, and in the free-space trees
  std::uint64_t inodes = 0;
  std::uint64_t free_inodes = 0;
};

struct GroupReport {
  explicit GroupReport(std::uint64_t limit) : findings(limit) {}

  FindingList findings;
  /// Absent when a damaged structure kept them from being counted.
  std::optional<GroupTotals> totals;
  SkippedChecks skipped;
  bool any_header = false;
  GroupFacts facts;
};

/// Checks `ag`, which must be valid, and adds to `report`. Never throws for anything on the device; std::bad_alloc
/// aside.
void check_group(Device& device, const Geometry& geometry, AgNumber ag, const GroupOptions& options,
                 GroupReport& report);

}  // namespace xdax::fsck
