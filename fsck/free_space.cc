#include "fsck/free_space.h"

#include <fmt/format.h>

#include <algorithm>

#include "fsck/tree_walk.h"
#include "libfs/format/btree_records.h"

namespace xdax::fsck {
namespace {

constexpr std::uint64_t kFreeValue = static_cast<std::uint64_t>(Claimant::kFree);

struct Walked {
  std::vector<Interval> extents;
  bool intact = false;
  std::uint64_t blocks = 0;
};

Walked walk(GroupContext& context, const TreeRoot& root) {
  Walked walked;
  if (!can_walk(context, root.block.value(), root.levels)) return walked;
  TreeWalk tree(context, root);
  tree.walk_nodes();
  tree.walk_leaves([&](ByteSpan records, std::uint32_t count) {
    for (const FreeRecord& record : view_array<FreeRecord>(records, 0, count)) {
      walked.extents.push_back({record.startblock, record.blockcount, kFreeValue});
    }
  });
  walked.intact = tree.intact();
  walked.blocks = tree.blocks();
  return walked;
}

// Both lists are sorted by block and hold each start at most once, or twice where bnobt and cntbt disagree with
// themselves.
void compare_trees(GroupContext& context, const std::vector<Interval>& by_block, const std::vector<Interval>& by_size) {
  const auto report = [&](const Interval& extent, const char* where) {
    Finding finding = context.place("free space", AgBlock(extent.start));
    finding.length_blocks = extent.length;
    finding.detail = fmt::format("in {} only", where);
    context.add(Problem::kFreeMismatch, std::move(finding));
  };
  const auto before = [](const Interval& left, const Interval& right) {
    return left.start != right.start ? left.start < right.start : left.length < right.length;
  };
  std::size_t i = 0;
  std::size_t j = 0;
  while (i < by_block.size() || j < by_size.size()) {
    if (j == by_size.size() || (i < by_block.size() && before(by_block[i], by_size[j]))) {
      report(by_block[i++], "bnobt");
    } else if (i == by_block.size() || before(by_size[j], by_block[i])) {
      report(by_size[j++], "cntbt");
    } else {
      ++i;
      ++j;
    }
  }
}

}  // namespace

bool can_walk(const GroupContext& context, std::uint32_t root, std::uint32_t levels) {
  return context.geometry.valid_ag_block(context.ag, AgBlock(root)) && levels >= 1 && levels <= limits::kMaxBtreeLevels;
}

void check_counter(GroupContext& context, const Counter& counter, std::uint64_t found, std::uint64_t expected) {
  if (found == expected) return;
  Finding finding = context.place(counter.structure);
  finding.field = counter.field;
  finding.found = found;
  finding.expected = expected;
  finding.detail = fmt::format("{}: ought to be what was counted", counter.field);
  context.add(counter.problem, std::move(finding));
}

FreeSpace check_free_space(GroupContext& context, const Agf& agf) {
  Walked by_block = walk(context, {BtreeKind::kBno, AgBlock(agf.roots[Agf::kBno]), agf.levels[Agf::kBno]});
  Walked by_size = walk(context, {BtreeKind::kCnt, AgBlock(agf.roots[Agf::kCnt]), agf.levels[Agf::kCnt]});
  FreeSpace space;
  space.trees_intact = by_block.intact && by_size.intact;
  space.tree_blocks = by_block.blocks + by_size.blocks;
  if (space.trees_intact) {
    std::sort(by_size.extents.begin(), by_size.extents.end(),
              [](const Interval& left, const Interval& right) { return left.start < right.start; });
    compare_trees(context, by_block.extents, by_size.extents);
  }
  space.intact = by_block.intact;
  space.extents = std::move(by_block.extents);
  if (!space.intact) return space;
  std::uint64_t longest = 0;
  for (const Interval& extent : space.extents) {
    space.free_blocks += extent.length;
    longest = std::max<std::uint64_t>(longest, extent.length);
  }
  check_counter(context, {Problem::kTotalFreeblks, "agf", "agf.freeblks"}, agf.freeblks, space.free_blocks);
  check_counter(context, {Problem::kTotalLongest, "agf", "agf.longest"}, agf.longest, longest);
  return space;
}

}  // namespace xdax::fsck
