#include "fsck/group.h"

#include <algorithm>

#include "fsck/free_space.h"
#include "fsck/headers.h"
#include "fsck/inode_trees.h"
#include "fsck/refcounts.h"
#include "fsck/reverse_map.h"
#include "fsck/tree_walk.h"

namespace xdax::fsck {
namespace {

void claim_fixed_places(GroupContext& context) {
  const Geometry& geometry = context.geometry;
  context.claims.add(Claimant::kHeaders, {AgBlock(0), geometry.ag_header_blocks()});
  if (geometry.valid_extent(geometry.log_start, geometry.log_blocks) &&
      geometry.ag_of(geometry.log_start) == context.ag) {
    context.claims.add(Claimant::kLog, {geometry.ag_block_of(geometry.log_start), geometry.log_blocks});
  }
}

// The blocks of the free-space and reverse map trees but for their roots, which is what the header counts.
void check_tree_blocks(GroupContext& context, const Agf& agf, std::uint64_t free_space_blocks,
                       std::optional<std::uint64_t> rmap_blocks) {
  std::uint64_t blocks = free_space_blocks - 2;
  if (rmap_blocks) blocks += *rmap_blocks - 1;
  check_counter(context, {Problem::kTotalBtreeblks, "agf", "agf.btreeblks"}, agf.btreeblks, blocks);
}

class GroupCheck {
 public:
  GroupCheck(GroupContext& context, const GroupHeaders& headers, const GroupOptions& options, GroupReport& report)
      : context_(context),
        headers_(headers),
        hash_(options.hash),
        cover_(options.cover),
        keep_free_(options.keep_free),
        report_(report) {}

  void run(const std::function<void()>& step) {
    claim_fixed_places(context_);
    free_list();
    free_space();
    step();
    inodes();
    step();
    refcounts();
    step();
    reverse_map();
    totals();
    if (hash_ != nullptr) facts();
    step();
  }

 private:
  void free_list() {
    if (!headers_.free_list) return;
    for (const AgBlock block : *headers_.free_list) context_.claims.add(Claimant::kFreeList, {block});
  }

  void free_space() {
    if (headers_.agf) free_space_ = check_free_space(context_, *headers_.agf);
    if (!free_space_.trees_intact) report_.skipped.add(CrossCheck::kFreeSpaceTrees);
    if (!free_space_.intact) report_.skipped.add(CrossCheck::kFreeSpaceCounts);
  }

  void inodes() {
    if (headers_.agi) inodes_ = check_inode_trees(context_, *headers_.agi);
    if (!inodes_.intact) report_.skipped.add(CrossCheck::kInodeCounts);
    if (!inodes_.intact || !inodes_.free_intact) report_.skipped.add(CrossCheck::kInodeTrees);
  }

  void refcounts() {
    if (!context_.geometry.features.reflink()) {
      refcounts_.intact = true;
      return;
    }
    if (headers_.agf) refcounts_ = check_refcounts(context_, *headers_.agf);
  }

  // Also settles the claims, which is only possible once the blocks of this last tree are known.
  void reverse_map() {
    const Agf* agf = headers_.agf ? &*headers_.agf : nullptr;
    const bool has_map = context_.geometry.features.rmapbt();
    std::optional<TreeWalk> tree;
    if (has_map && agf != nullptr && can_walk(context_, agf->roots[Agf::kRmap], agf->levels[Agf::kRmap])) {
      tree.emplace(context_, TreeRoot{BtreeKind::kRmap, AgBlock(agf->roots[Agf::kRmap]), agf->levels[Agf::kRmap]});
      tree->walk_nodes();
    }
    context_.claims.settle(free_space_.extents, context_.place("group"), context_.findings);
    const bool claims_known = headers_.free_list && free_space_.trees_intact && inodes_.intact && inodes_.free_intact &&
                              refcounts_.intact && (!has_map || (tree && tree->intact()));
    if (!claims_known) report_.skipped.add(CrossCheck::kOwnership);
    if (tree) {
      check_reverse_map(context_, *tree,
                        {.free_space = free_space_.intact ? &free_space_ : nullptr,
                         .refcounts = refcounts_.intact ? &refcounts_ : nullptr,
                         .claims_known = claims_known,
                         .hash = hash_,
                         .owned = &owned_});
    }
    const bool map_intact = tree && tree->intact();
    if (map_intact) report_.facts.owned = owned_;
    claims_known_ = claims_known;
    if (has_map && !(map_intact && claims_known)) report_.skipped.add(CrossCheck::kReverseMap);
    if (has_map && context_.geometry.features.reflink() && !(map_intact && refcounts_.intact)) {
      report_.skipped.add(CrossCheck::kRefcounts);
    }
    tree_blocks_known_ = free_space_.trees_intact && (!has_map || map_intact);
    if (!tree_blocks_known_) return;
    check_tree_blocks(context_, *agf, free_space_.tree_blocks, tree ? std::optional(tree->blocks()) : std::nullopt);
    tree_blocks_ = free_space_.tree_blocks - 2 + (tree ? tree->blocks() - 1 : 0);
    if (tree) {
      check_counter(context_, {Problem::kTotalRmapBlocks, "agf", "agf.rmap_blocks"}, agf->rmap_blocks, tree->blocks());
    }
  }

  void totals() {
    if (!tree_blocks_known_ || !free_space_.intact || !inodes_.intact || !headers_.free_list) {
      report_.skipped.add(CrossCheck::kTotals);
      return;
    }
    report_.totals = GroupTotals{.free_blocks = free_space_.free_blocks + headers_.agf->flcount + tree_blocks_,
                                 .inodes = inodes_.inodes,
                                 .free_inodes = inodes_.free_inodes};
  }

  GroupContext& context_;
  const GroupHeaders& headers_;
  const ExtentHash* hash_;
  std::vector<Interval>* cover_;
  bool keep_free_;
  GroupReport& report_;
  void facts() {
    GroupFacts& facts = report_.facts;
    facts.chunks = std::move(inodes_.chunks);
    facts.inodes_intact = inodes_.intact;
    if (headers_.agi) {
      for (std::uint32_t bucket = 0; bucket < Agi::kUnlinkedBuckets; ++bucket) {
        const AgInode head{headers_.agi->unlinked[bucket]};
        if (head != kNullAgInode) facts.unlinked.push_back({bucket, head});
      }
    }
    if (free_space_.intact && claims_known_) {
      facts.covered = expected_sum();
      if (cover_ != nullptr) *cover_ = expected_cover();
    }
    facts.shared = std::move(refcounts_.shared);
    if (keep_free_ && free_space_.intact) {
      for (const auto& free : free_space_.extents) facts.free.push_back({free.start, free.length, 1});
    }
  }

  // Every block that is neither free nor metadata belongs to one file, or to as many as its reference count says.
  [[nodiscard]] Sum128 expected_sum() const {
    Sum128 sum = hash_->covered(0, context_.geometry.ag_length_blocks(context_.ag));
    for (const Interval& free : free_space_.extents) sum -= hash_->covered(free.start, free.length);
    for (const Interval& claim : context_.claims.all()) {
      if (static_cast<Claimant>(claim.value) != Claimant::kShared) sum -= hash_->covered(claim.start, claim.length);
    }
    for (const Interval& shared : refcounts_.shared) {
      sum += hash_->covered(shared.start, shared.length).times(shared.value - 1);
    }
    return sum;
  }

  // The same as a list.
  [[nodiscard]] std::vector<Interval> expected_cover() const {
    std::vector<Interval> known;
    for (const Interval& free : free_space_.extents) known.push_back({free.start, free.length, 0});
    for (const Interval& claim : context_.claims.all()) {
      if (static_cast<Claimant>(claim.value) != Claimant::kShared) known.push_back({claim.start, claim.length, 0});
    }
    known.insert(known.end(), refcounts_.shared.begin(), refcounts_.shared.end());
    std::sort(known.begin(), known.end(), [](const Interval& l, const Interval& r) { return l.start < r.start; });
    std::vector<Interval> cover;
    std::uint64_t at = 0;
    const auto used = [&](std::uint64_t end) {
      if (at < end) append_merged(cover, {static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(end - at), 1});
    };
    for (const Interval& each : known) {
      used(each.start);
      const std::uint64_t start = std::max<std::uint64_t>(each.start, at);
      if (start >= each.end()) continue;
      if (each.value != 0) {
        append_merged(cover,
                      {static_cast<std::uint32_t>(start), static_cast<std::uint32_t>(each.end() - start), each.value});
      }
      at = each.end();
    }
    used(context_.geometry.ag_length_blocks(context_.ag));
    return cover;
  }

  FreeSpace free_space_;
  InodeTrees inodes_;
  Refcounts refcounts_;
  bool claims_known_ = false;
  Sum128 owned_;
  bool tree_blocks_known_ = false;
  std::uint64_t tree_blocks_ = 0;
};

}  // namespace

const char* to_string(CrossCheck check) {
  switch (check) {
    case CrossCheck::kFreeSpaceTrees:
      return "the free-space trees with each other";
    case CrossCheck::kFreeSpaceCounts:
      return "free space with its counters";
    case CrossCheck::kInodeTrees:
      return "the inode trees with each other";
    case CrossCheck::kInodeCounts:
      return "inodes with their counters";
    case CrossCheck::kOwnership:
      return "all owners of blocks";
    case CrossCheck::kReverseMap:
      return "the reverse map with what it maps";
    case CrossCheck::kRefcounts:
      return "reference counts with the reverse map";
    case CrossCheck::kExtents:
      return "the extents of files with who owns what";
    case CrossCheck::kLinks:
      return "link counts with the entries of directories";
    case CrossCheck::kParents:
      return "parent pointers with the entries of directories";
    case CrossCheck::kTotals:
      return "the superblock's counters with the groups";
  }
  return "unknown";
}

void check_group(Device& device, const Geometry& geometry, AgNumber ag, const GroupOptions& options,
                 GroupReport& report) {
  const std::function<void()> step = options.step ? options.step : [] {};
  GroupContext context(device, geometry, ag, report.findings);
  context.log_head = options.log_head;
  const GroupHeaders headers =
      check_headers(context, {.reference = options.reference, .sizes_may_differ = options.headers_only});
  report.any_header = headers.any;
  step();
  if (options.headers_only) {
    for (std::uint64_t i = 1; i < kGroupSteps; ++i) step();
    return;
  }
  GroupCheck(context, headers, options, report).run(step);
}

}  // namespace xdax::fsck
