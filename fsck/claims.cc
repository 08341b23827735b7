#include "fsck/claims.h"

#include <fmt/format.h>

#include <algorithm>

#include "libfs/format/btree_records.h"

namespace xdax::fsck {
namespace {

void report_overlap(const Interval& first, const Interval& second, const Finding& place, FindingSink& findings) {
  const std::uint64_t start = std::max(first.start, second.start);
  const std::uint64_t end = std::min(first.end(), second.end());
  Finding finding = place;
  finding.problem = Problem::kClaimTwice;
  finding.structure = "group";
  finding.block = static_cast<std::uint32_t>(start);
  finding.length_blocks = static_cast<std::uint32_t>(end - start);
  finding.detail = fmt::format("by {} and by {}", to_string(static_cast<Claimant>(first.value)),
                               to_string(static_cast<Claimant>(second.value)));
  findings.add(std::move(finding));
}

}  // namespace

const char* to_string(Claimant claimant) {
  switch (claimant) {
    case Claimant::kNobody:
      return "nobody";
    case Claimant::kFree:
      return "free space";
    case Claimant::kHeaders:
      return "the headers of the group";
    case Claimant::kLog:
      return "the log";
    case Claimant::kFreeList:
      return "the free list";
    case Claimant::kBnobt:
      return "bnobt";
    case Claimant::kCntbt:
      return "cntbt";
    case Claimant::kRmapbt:
      return "rmapbt";
    case Claimant::kInobt:
      return "inobt";
    case Claimant::kFinobt:
      return "finobt";
    case Claimant::kRefcountbt:
      return "refcountbt";
    case Claimant::kInodes:
      return "inode chunks";
    case Claimant::kCowStaging:
      return "copy-on-write staging";
    case Claimant::kShared:
      return "shared extents";
  }
  return "unknown";
}

Claimant claimant_of(BtreeKind kind) {
  switch (kind) {
    case BtreeKind::kBno:
      return Claimant::kBnobt;
    case BtreeKind::kCnt:
      return Claimant::kCntbt;
    case BtreeKind::kInobt:
      return Claimant::kInobt;
    case BtreeKind::kFinobt:
      return Claimant::kFinobt;
    case BtreeKind::kRmap:
      return Claimant::kRmapbt;
    case BtreeKind::kRefcount:
      return Claimant::kRefcountbt;
    case BtreeKind::kBmap:
      break;
  }
  return Claimant::kNobody;
}

std::uint64_t reverse_map_owner(Claimant claimant) {
  switch (claimant) {
    case Claimant::kHeaders:
      return rmap::kOwnerFs;
    case Claimant::kLog:
      return rmap::kOwnerLog;
    case Claimant::kFreeList:
    case Claimant::kBnobt:
    case Claimant::kCntbt:
    case Claimant::kRmapbt:
      return rmap::kOwnerAg;
    case Claimant::kInobt:
    case Claimant::kFinobt:
      return rmap::kOwnerInobt;
    case Claimant::kRefcountbt:
      return rmap::kOwnerRefcount;
    case Claimant::kInodes:
      return rmap::kOwnerInodes;
    case Claimant::kCowStaging:
      return rmap::kOwnerCow;
    case Claimant::kNobody:
    case Claimant::kFree:
    case Claimant::kShared:
      break;
  }
  return 0;
}

std::string describe_owner(std::uint64_t owner) {
  switch (owner) {
    case rmap::kOwnerFs:
      return "the headers of the group";
    case rmap::kOwnerLog:
      return "the log";
    case rmap::kOwnerAg:
      return "the free-space trees, the reverse map or the free list";
    case rmap::kOwnerInobt:
      return "the inode trees";
    case rmap::kOwnerInodes:
      return "inode chunks";
    case rmap::kOwnerRefcount:
      return "the reference count tree";
    case rmap::kOwnerCow:
      return "copy-on-write staging";
    default:
      return fmt::format("inode {}", owner);
  }
}

void Claims::add(Claimant claimant, Blocks blocks) {
  append_merged(claims_, {blocks.start.value(), blocks.length, static_cast<std::uint64_t>(claimant)});
}

void Claims::settle(std::span<const Interval> free_extents, const Finding& place, FindingSink& findings) {
  std::sort(claims_.begin(), claims_.end(), [](const Interval& left, const Interval& right) {
    return left.start != right.start ? left.start < right.start : left.value < right.value;
  });
  std::size_t free_index = 0;
  const Interval* furthest = nullptr;
  for (const Interval& claim : claims_) {
    if (furthest != nullptr && claim.start < furthest->end()) report_overlap(*furthest, claim, place, findings);
    while (free_index < free_extents.size() && free_extents[free_index].end() <= claim.start) ++free_index;
    for (std::size_t i = free_index; i < free_extents.size() && free_extents[i].start < claim.end(); ++i) {
      report_overlap(free_extents[i], claim, place, findings);
    }
    if (furthest == nullptr || claim.end() > furthest->end()) furthest = &claim;
  }
}

std::vector<Interval> Claims::reverse_map_view() const {
  std::vector<Interval> view;
  for (const Interval& claim : claims_) {
    const std::uint64_t owner = reverse_map_owner(static_cast<Claimant>(claim.value));
    if (owner == 0) continue;
    const std::uint64_t taken_until = view.empty() ? 0 : view.back().end();
    const std::uint64_t start = std::max<std::uint64_t>(claim.start, taken_until);
    if (start >= claim.end()) continue;
    append_merged(view, {static_cast<std::uint32_t>(start), static_cast<std::uint32_t>(claim.end() - start), owner});
  }
  return view;
}

}  // namespace xdax::fsck
