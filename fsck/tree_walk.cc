#include "fsck/tree_walk.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "fsck/flaw_findings.h"
#include "libfs/format/btree_records.h"

namespace xdax::fsck {
namespace {

// Flaws of the header that leave the entries as good as they were.
bool spares_entries(const Flaw& flaw) {
  switch (flaw.kind) {
    case FlawKind::kChecksum:
    case FlawKind::kUuid:
    case FlawKind::kSelfAddress:
      return true;
    case FlawKind::kOwner:
      return std::strcmp(flaw.field, "btree.owner") == 0;
    case FlawKind::kPointer:
      return std::strcmp(flaw.field, "btree.leftsib") == 0 || std::strcmp(flaw.field, "btree.rightsib") == 0;
    default:
      return false;
  }
}

// The offset of a reverse mapping as its keys order it: without the unwritten flag.
std::uint64_t key_offset_of(std::uint64_t offset) { return offset & ~rmap::kUnwritten; }

}  // namespace

TreeWalk::TreeWalk(GroupContext& context, const TreeRoot& root)
    : context_(context), root_(root), layout_(root.kind, context.geometry.block_bytes) {}

void TreeWalk::walk_nodes() {
  XDAX_ASSERT(root_.levels >= 1 && root_.levels <= limits::kMaxBtreeLevels);
  level_.assign(1, {.block = root_.block});
  if (!context_.visited.insert(root_.block)) {
    Finding finding = place(root_.block);
    finding.detail = "the root is already part of another tree";
    context_.add(Problem::kBtreeRevisited, std::move(finding));
    level_.clear();
    intact_ = false;
    return;
  }
  context_.claims.add(claimant_of(root_.kind), {root_.block});
  blocks_ = 1;
  for (std::uint32_t level = root_.levels - 1; level > 0; --level) {
    std::vector<Child> children;
    visit_level(
        level, [&](ByteSpan block, std::uint32_t count, AgBlock at) { collect_children(block, at, count, children); },
        // What a lost node led to is unknown, and so are the neighbours of the blocks beside it.
        [&] { children.push_back({.block = kNullAgBlock, .sound = false}); });
    level_ = std::move(children);
  }
}

void TreeWalk::walk_leaves(const LeafVisitor& visitor) {
  visit_level(
      0,
      [&](ByteSpan block, std::uint32_t count, AgBlock) {
        visitor(block.subspan(layout_.header_bytes(), std::size_t{count} * layout_.spec().record_bytes), count);
      },
      [] {});
}

// Reads and checks the blocks of level_ from left to right and hands over those whose entries can be used; for each of
// the others calls `lost` and marks the entry unsound.
void TreeWalk::visit_level(std::uint32_t level, const BlockVisitor& visitor, const std::function<void()>& lost) {
  std::vector<AgBlock> batch;
  for (std::size_t next = 0; next < level_.size();) {
    const std::size_t first = next;
    batch.clear();
    for (; next < level_.size() && batch.size() < context_.reader.batch_blocks(); ++next) {
      if (level_[next].sound) batch.push_back(level_[next].block);
    }
    context_.reader.read(batch);
    std::size_t in_batch = 0;
    for (std::size_t index = first; index < next; ++index) {
      const bool read = level_[index].sound;
      if (read && visit_block(level, index, in_batch++, visitor)) continue;
      level_[index].sound = false;
      intact_ = false;
      last_record_.clear();
      lost();
    }
  }
}

bool TreeWalk::visit_block(std::uint32_t level, std::size_t index, std::size_t index_in_batch,
                           const BlockVisitor& visitor) {
  const AgBlock at = level_[index].block;
  if (const std::error_code& error = context_.reader.error(index_in_batch)) {
    Finding finding = place(at);
    finding.detail = error.message();
    context_.add(Problem::kIoUnreadable, std::move(finding));
    return false;
  }
  const ByteSpan block = context_.reader.block(index_in_batch);
  if (!check_block(block, level, index)) return false;
  visitor(block, view<ShortBtreeHeader>(block).numrecs, at);
  return true;
}

// Whether the entries of the block can be used.
bool TreeWalk::check_block(ByteSpan block, std::uint32_t level, std::size_t index) {
  const Child& child = level_[index];
  const bool root = level + 1 == root_.levels;
  const Flaws flaws = verify_short_btree_block(
      block, context_.geometry,
      {.kind = root_.kind, .ag = context_.ag, .block = child.block, .level = level, .root = root});
  if (!flaws.empty()) {
    add_flaws(context_.findings, flaws, place(child.block));
    const bool usable = flaws.total() == flaws.size() && std::all_of(flaws.begin(), flaws.end(), spares_entries);
    if (!usable) return false;
  }
  const auto& header = view<ShortBtreeHeader>(block);
  const bool sibling_flaw = flaws.has(FlawKind::kPointer);
  if (!sibling_flaw) check_siblings(header, index);
  // A block with a wrong checksum is suspect enough; its stamp says nothing more.
  if (!flaws.has(FlawKind::kChecksum)) context_.check_stamp(header.lsn, place(child.block));
  if (header.numrecs == 0) return true;
  if (child.has_keys) check_keys(block, level, child);
  if (level == 0) check_order_across(block, header.numrecs, child.block);
  return true;
}

void TreeWalk::check_siblings(const ShortBtreeHeader& header, std::size_t index) {
  const auto check = [&](const char* field, std::uint32_t found, const Child* neighbour) {
    // Where the neighbour is not known for certain, nothing can be asked of the pointer to it.
    if (neighbour != nullptr && !neighbour->sound) return;
    const std::uint32_t expected = neighbour != nullptr ? neighbour->block.value() : kNullAgBlock.value();
    if (found == expected) return;
    Finding finding = place(level_[index].block);
    finding.field = field;
    finding.found = found;
    finding.expected = expected;
    finding.detail =
        fmt::format("{}: ought to be {}", field, neighbour != nullptr ? "the next block of its level" : "null");
    context_.add(Problem::kBtreeSibling, std::move(finding));
  };
  check("btree.leftsib", header.leftsib, index > 0 ? &level_[index - 1] : nullptr);
  check("btree.rightsib", header.rightsib, index + 1 < level_.size() ? &level_[index + 1] : nullptr);
}

void TreeWalk::check_keys(ByteSpan block, std::uint32_t level, const Child& child) {
  const std::uint32_t count = view<ShortBtreeHeader>(block).numrecs;
  const KeyRange range = level == 0 ? range_of_leaf(block, count) : range_of_node(block, count);
  const auto check = [&](const char* field, const Key& found, const Key& expected) {
    if (found == expected) return;
    Finding finding = place(child.block);
    finding.field = field;
    finding.found = found.major;
    finding.expected = expected.major;
    finding.detail =
        fmt::format("the {} key its parent has for it is ({}, {}, {}), the block holds ({}, {}, {})", field,
                    found.major, found.middle, found.minor, expected.major, expected.middle, expected.minor);
    context_.add(Problem::kBtreeKey, std::move(finding));
  };
  check("low", child.keys.low, range.low);
  if (layout_.spec().overlapping) check("high", child.keys.high, range.high);
}

// The last record of one leaf and the first of the next must go together as two of one leaf do.
void TreeWalk::check_order_across(ByteSpan block, std::uint32_t count, AgBlock at) {
  const std::uint32_t record_bytes = layout_.spec().record_bytes;
  if (!last_record_.empty()) {
    std::byte pair[2 * sizeof(RmapRecord)];
    XDAX_ASSERT(2 * record_bytes <= sizeof(pair));
    std::memcpy(pair, last_record_.data(), record_bytes);
    std::memcpy(pair + record_bytes, block.data() + layout_.header_bytes(), record_bytes);
    const ByteSpan bytes(pair, std::size_t{2} * record_bytes);
    const RecordContext records{context_.geometry, context_.ag, layout_.header_bytes() - record_bytes};
    Flaws flaws;
    switch (root_.kind) {
      case BtreeKind::kBno:
      case BtreeKind::kCnt:
        flaws = verify_free_records(view_array<FreeRecord>(bytes, 0, 2), root_.kind == BtreeKind::kCnt, records);
        break;
      case BtreeKind::kInobt:
      case BtreeKind::kFinobt:
        flaws = verify_inode_chunk_records(view_array<InodeChunkRecord>(bytes, 0, 2), root_.kind == BtreeKind::kFinobt,
                                           records);
        break;
      case BtreeKind::kRmap:
        flaws = verify_rmap_records(view_array<RmapRecord>(bytes, 0, 2), records);
        break;
      case BtreeKind::kRefcount:
        flaws = verify_refcount_records(view_array<RefcountRecord>(bytes, 0, 2), records);
        break;
      case BtreeKind::kBmap:
        break;
    }
    if (!flaws.empty()) {
      // Either record is sound by itself, so this is about their order; the records stay what they are, but cannot be
      // compared with a list that is in order.
      add_flaws(context_.findings, flaws, place(at));
      intact_ = false;
    }
  }
  const ByteSpan last = block.subspan(layout_.record_offset(count - 1), record_bytes);
  last_record_.assign(last.begin(), last.end());
}

void TreeWalk::collect_children(ByteSpan block, AgBlock parent, std::uint32_t count, std::vector<Child>& children) {
  for (std::uint32_t i = 0; i < count; ++i) {
    Child child{.block = AgBlock(view<be32>(block, layout_.pointer_offset(i))), .has_keys = true};
    const std::uint32_t at = layout_.key_offset(i);
    child.keys.low = key_at(block, at);
    if (layout_.spec().overlapping) child.keys.high = key_at(block, at + layout_.spec().key_bytes);
    if (context_.visited.insert(child.block)) {
      context_.claims.add(claimant_of(root_.kind), {child.block});
      ++blocks_;
    } else {
      Finding finding = place(child.block);
      finding.detail = fmt::format("block {} points to it, and it is already part of a tree", parent.value());
      context_.add(Problem::kBtreeRevisited, std::move(finding));
      child.sound = false;
      intact_ = false;
    }
    children.push_back(child);
  }
}

TreeWalk::Key TreeWalk::key_at(ByteSpan block, std::uint32_t offset_bytes) const {
  switch (root_.kind) {
    case BtreeKind::kCnt: {
      const auto& key = view<FreeRecord>(block, offset_bytes);
      return {key.blockcount, key.startblock, 0};
    }
    case BtreeKind::kRmap: {
      const auto& key = view<RmapKey>(block, offset_bytes);
      return {key.startblock, key.owner, key_offset_of(key.offset)};
    }
    default:
      return {view<be32>(block, offset_bytes), 0, 0};
  }
}

TreeWalk::Key TreeWalk::low_of_record(ByteSpan block, std::uint32_t offset_bytes) const {
  if (root_.kind == BtreeKind::kRmap) {
    const auto& record = view<RmapRecord>(block, offset_bytes);
    return {record.startblock, record.owner, key_offset_of(record.offset)};
  }
  // The other records begin with what their keys are made of.
  return key_at(block, offset_bytes);
}

TreeWalk::KeyRange TreeWalk::range_of_leaf(ByteSpan block, std::uint32_t count) const {
  KeyRange range{.low = low_of_record(block, layout_.record_offset(0))};
  if (!layout_.spec().overlapping) return range;
  for (const RmapRecord& record : view_array<RmapRecord>(block, layout_.header_bytes(), count)) {
    // The high key is the last block of the mapping, with the offset that block has in its file.
    const std::uint64_t last = std::uint64_t{record.blockcount} - 1;
    const bool has_offset = !rmap::is_special(record.owner) && (record.offset & rmap::kBmapBlock) == 0;
    const Key high{record.startblock + last, record.owner, key_offset_of(record.offset) + (has_offset ? last : 0)};
    range.high = std::max(range.high, high);
  }
  return range;
}

TreeWalk::KeyRange TreeWalk::range_of_node(ByteSpan block, std::uint32_t count) const {
  KeyRange range{.low = key_at(block, layout_.key_offset(0))};
  if (!layout_.spec().overlapping) return range;
  for (std::uint32_t i = 0; i < count; ++i) {
    range.high = std::max(range.high, key_at(block, layout_.key_offset(i) + layout_.spec().key_bytes));
  }
  return range;
}

}  // namespace xdax::fsck
