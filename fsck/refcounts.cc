#include "fsck/refcounts.h"

#include "fsck/free_space.h"
#include "fsck/tree_walk.h"
#include "libfs/format/btree_records.h"

namespace xdax::fsck {

Refcounts check_refcounts(GroupContext& context, const Agf& agf) {
  Refcounts refcounts;
  const std::uint32_t root = agf.refcount_root;
  if (!can_walk(context, root, agf.refcount_level)) return refcounts;
  TreeWalk tree(context, {BtreeKind::kRefcount, AgBlock(root), agf.refcount_level});
  tree.walk_nodes();
  std::optional<RefcountRecord> before;
  tree.walk_leaves([&](ByteSpan records, std::uint32_t count) {
    for (const RefcountRecord& record : view_array<RefcountRecord>(records, 0, count)) {
      const bool staging = (record.startblock & refcount::kCowFlag) != 0;
      const std::uint32_t start = record.startblock & ~refcount::kCowFlag;
      const std::uint64_t value = staging ? rmap::kOwnerCow : std::uint64_t{record.refcount};
      append_merged(staging ? refcounts.staging : refcounts.shared, {start, record.blockcount, value});
      context.claims.add(staging ? Claimant::kCowStaging : Claimant::kShared, {AgBlock(start), record.blockcount});
      const bool touches = before && before->startblock + before->blockcount == record.startblock;
      if (touches && before->refcount == record.refcount && record.refcount != refcount::kMaxCount) {
        Finding finding = context.place("refcountbt", AgBlock(start));
        finding.length_blocks = record.blockcount;
        context.add(Problem::kRefcountUnmerged, std::move(finding));
      }
      before = record;
    }
  });
  refcounts.intact = tree.intact();
  if (refcounts.intact) {
    check_counter(context, {Problem::kTotalRefcountBlocks, "agf", "agf.refcount_blocks"}, agf.refcount_blocks,
                  tree.blocks());
  }
  return refcounts;
}

}  // namespace xdax::fsck
