#include "fsck/fork_walk.h"

#include <algorithm>

#include "fsck/flaw_findings.h"

namespace xdax::fsck {
namespace {

constexpr std::uint32_t kBatchBytes = 128u << 10;
constexpr const char* kStructure = "bmapbt";

bool is_own(const Flaws& flaws) {
  return !flaws.has(FlawKind::kMagic) && !flaws.has(FlawKind::kOwner) && !flaws.has(FlawKind::kSelfAddress) &&
         !flaws.has(FlawKind::kLevel) && !flaws.has(FlawKind::kUuid);
}

}  // namespace

ForkWalk::ForkWalk(FileView& file, Fork fork, ExtentSink& sink)
    : file_(file), fork_(fork), sink_(sink), layout_(BtreeKind::kBmap, file.geometry.block_bytes) {}

ForkSummary ForkWalk::run() {
  switch (fork_format(file_.core(), fork_)) {
    case ForkFormat::kExtents: {
      const auto records = fork_extents(file_.inode, fork_);
      if (records.size() != extent_count(file_.core(), fork_)) summary_.intact = false;
      list(records, FileBlock(file_.geometry.max_file_blocks()));
      break;
    }
    case ForkFormat::kBtree:
      tree();
      break;
    default:
      break;
  }
  return summary_;
}

// Extents that are sound, in order, and before `limit`. What is not was reported by a verifier, but for the limit.
void ForkWalk::list(std::span<const ExtentRecord> records, FileBlock limit) {
  for (const ExtentRecord& record : records) {
    const Extent extent = Extent::decode(record);
    const bool sound = extent.length_blocks > 0 && extent.file_block >= next_ &&
                       extent.file_block.value() + extent.length_blocks <= limit.value() &&
                       file_.geometry.valid_extent(extent.start, extent.length_blocks);
    if (!sound) {
      summary_.intact = false;
      continue;
    }
    next_ = extent.file_block + extent.length_blocks;
    ++summary_.extents;
    summary_.data_blocks += extent.length_blocks;
    sink_.extent(extent);
  }
}

void ForkWalk::tree() {
  const ByteSpan fork = fork_bytes(file_.inode, fork_);
  const BmapRootLayout root(static_cast<std::uint32_t>(fork.size()));
  if (root.max_entries() == 0) {
    summary_.intact = false;
    return;
  }
  const auto& header = view<BmapRootHeader>(fork);
  const std::uint32_t count = header.numrecs;
  const std::uint32_t level = header.level;
  if (level == 0 || level >= limits::kMaxBtreeLevels || count == 0 || count > root.max_entries()) {
    summary_.intact = false;
    return;
  }
  levels_.resize(level);
  std::vector<Child> all;
  for (std::uint32_t i = 0; i < count; ++i) {
    all.push_back({FileBlock(view<be64>(fork, root.key_offset(i))), FsBlock(view<be64>(fork, root.pointer_offset(i)))});
  }
  children(all, level - 1, FileBlock(file_.geometry.max_file_blocks()));
  end_of_levels();
}

void ForkWalk::lost(std::uint32_t level) {
  summary_.intact = false;
  for (std::uint32_t below = 0; below <= level; ++below) levels_[below].known = false;
}

// Follows the children of one node, read a batch at a time. Recursion goes down one level each time, and there are at
// most eight.
void ForkWalk::children(const std::vector<Child>& all, std::uint32_t level, FileBlock limit) {
  const std::uint32_t block_bytes = file_.geometry.block_bytes;
  const std::size_t batch = std::max<std::size_t>(1, kBatchBytes / block_bytes);
  std::vector<ReadRequest> requests;
  for (std::size_t first = 0; first < all.size(); first += batch) {
    const std::size_t count = std::min(batch, all.size() - first);
    // Taken while it is in use: a level's buffer serves one node at a time, and deeper levels have their own.
    std::vector<std::byte> buffer = std::move(levels_[level].buffer);
    buffer.resize(count * block_bytes);
    requests.clear();
    std::vector<std::size_t> which;
    for (std::size_t i = 0; i < count; ++i) {
      if (!file_.geometry.valid_fs_block(all[first + i].block)) {
        lost(level);  // the verifier of the parent has reported it
        continue;
      }
      requests.push_back({.offset_bytes = file_.geometry.byte_of(all[first + i].block),
                          .buffer = MutableByteSpan(buffer).subspan(i * block_bytes, block_bytes),
                          .error = {}});
      which.push_back(i);
    }
    file_.device.read_batch(requests);
    for (std::size_t r = 0; r < requests.size(); ++r) {
      const std::size_t i = which[r];
      const Child& child = all[first + i];
      if (requests[r].error) {
        Finding finding = file_.place(kStructure, child.block);
        finding.detail = requests[r].error.message();
        file_.add(Problem::kIoUnreadable, std::move(finding));
        lost(level);
        continue;
      }
      const FileBlock child_limit = first + i + 1 < all.size() ? std::min(limit, all[first + i + 1].key) : limit;
      block(ByteSpan(buffer).subspan(i * block_bytes, block_bytes), child, level, child_limit);
    }
    levels_[level].buffer = std::move(buffer);
  }
}

void ForkWalk::block(ByteSpan bytes, const Child& child, std::uint32_t level, FileBlock limit) {
  const Finding where = file_.place(kStructure, child.block);
  const bool written_only = fork_ == Fork::kAttr || file_.core().type() != FileType::kRegular;
  const Flaws flaws = verify_long_btree_block(
      bytes, file_.geometry,
      {.block = child.block, .owner = file_.ino, .level = level, .attribute_fork = written_only});
  add_flaws(file_.findings, flaws, where);
  if (!is_own(flaws)) {
    lost(level);
    return;
  }
  const auto& header = view<LongBtreeHeader>(bytes);
  if (!flaws.has(FlawKind::kChecksum)) file_.check_stamp(header.lsn, where);
  ++summary_.tree_blocks;
  sink_.tree_block(child.block);
  siblings(header, child, level);
  const std::uint32_t count = header.numrecs;
  if (count == 0 || count > layout_.max_entries(level)) {
    lost(level);
    return;
  }
  const FileBlock low = level == 0 ? Extent::decode(view<ExtentRecord>(bytes, layout_.record_offset(0))).file_block
                                   : FileBlock(view<be64>(bytes, layout_.key_offset(0)));
  if (low != child.key || low < next_) {
    Finding finding = where;
    finding.found = low.value();
    finding.expected = child.key.value();
    finding.detail = "its first file block is not the key in its parent";
    file_.add(Problem::kBtreeKey, std::move(finding));
    // What follows may still be in order; a node is not followed, because it may have been reached before.
    if (level > 0 || low < next_) {
      lost(level);
      return;
    }
  }
  if (level == 0) {
    const bool was_intact = summary_.intact;
    list(view_array<ExtentRecord>(bytes, layout_.record_offset(0), count), limit);
    if (was_intact && !summary_.intact && flaws.empty()) {
      Finding finding = where;
      finding.expected = limit.value();
      finding.detail = "an extent reaches into what the parent has elsewhere";
      file_.add(Problem::kBtreeOrder, std::move(finding));
    }
    return;
  }
  children(collect(bytes, count), level - 1, limit);
}

std::vector<ForkWalk::Child> ForkWalk::collect(ByteSpan bytes, std::uint32_t count) const {
  std::vector<Child> all;
  all.reserve(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    all.push_back(
        {FileBlock(view<be64>(bytes, layout_.key_offset(i))), FsBlock(view<be64>(bytes, layout_.pointer_offset(i)))});
  }
  return all;
}

void ForkWalk::siblings(const LongBtreeHeader& header, const Child& child, std::uint32_t level) {
  Level& at = levels_[level];
  const FsBlock left(header.leftsib);
  if (at.known && left != at.previous) {
    Finding finding = file_.place(kStructure, child.block);
    finding.found = left.value();
    finding.expected = at.previous.value();
    finding.detail = "the neighbour before it";
    file_.add(Problem::kBtreeSibling, std::move(finding));
  }
  if (at.known && at.previous != kNullFsBlock && at.previous_right != child.block) {
    Finding finding = file_.place(kStructure, at.previous);
    finding.found = at.previous_right.value();
    finding.expected = child.block.value();
    finding.detail = "the neighbour behind it";
    file_.add(Problem::kBtreeSibling, std::move(finding));
  }
  at.known = true;
  at.previous = child.block;
  at.previous_right = FsBlock(header.rightsib);
}

void ForkWalk::end_of_levels() {
  for (const Level& at : levels_) {
    if (!at.known || at.previous == kNullFsBlock || at.previous_right == kNullFsBlock) continue;
    Finding finding = file_.place(kStructure, at.previous);
    finding.found = at.previous_right.value();
    finding.expected = kNullFsBlock.value();
    finding.detail = "the neighbour behind the last";
    file_.add(Problem::kBtreeSibling, std::move(finding));
  }
}

}  // namespace xdax::fsck
