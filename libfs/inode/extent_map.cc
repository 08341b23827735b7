#include "libfs/inode/extent_map.h"

#include <fmt/format.h>

#include <algorithm>

#include "libfs/format/btree_block.h"

namespace xdax {
namespace {

constexpr FileBlock kEnd{limits::kMaxFileBlock + 1};

}  // namespace

ExtentMap::ExtentMap(const MetadataReader& reader, const Inode& inode, Fork fork)
    : reader_(reader), ino_(inode.ino()), written_only_(fork == Fork::kAttr || inode.type() != FileType::kRegular) {
  const ForkFormat format = fork_format(inode.core(), fork);
  if (format != ForkFormat::kBtree) {
    range_ = {.low = FileBlock(0), .high = kEnd};
    if (format != ForkFormat::kExtents) return;
    for (const ExtentRecord& record : fork_extents(inode.bytes(), fork)) leaf_.push_back(Extent::decode(record));
    return;
  }
  // verify_inode() has checked level, count, order and pointers of the root.
  const ByteSpan bytes = inode.fork(fork);
  const BmapRootLayout layout(static_cast<std::uint32_t>(bytes.size()));
  const auto& header = view<BmapRootHeader>(bytes);
  root_level_ = header.level;
  const std::uint32_t count = std::min<std::uint32_t>(header.numrecs, layout.max_entries());
  for (std::uint32_t i = 0; i < count; ++i) {
    root_.push_back(
        {FileBlock(view<be64>(bytes, layout.key_offset(i))), FsBlock(view<be64>(bytes, layout.pointer_offset(i)))});
  }
  if (root_.empty() || root_level_ == 0 || root_level_ >= limits::kMaxBtreeLevels) {
    reader_.corrupt(fork_place(reader_, inode, fork, "root of its extent map"), "its level or count is out of range");
  }
}

MetadataPlace ExtentMap::place(FsBlock block) const {
  return {.structure = "extent map", .ino = ino_, .byte = reader_.geometry().byte_of(block)};
}

std::optional<Extent> ExtentMap::find(FileBlock block) {
  const auto extent = next(block);
  if (!extent || extent->file_block > block) return std::nullopt;
  return extent;
}

// Each turn loads the leaf behind the last, so that the ranges, which only rise, bound it.
std::optional<Extent> ExtentMap::next(FileBlock from) {
  while (from < kEnd) {
    load(from);
    const auto found = std::partition_point(leaf_.begin(), leaf_.end(), [from](const Extent& extent) {
      return extent.file_block.value() + extent.length_blocks <= from.value();
    });
    if (found != leaf_.end()) return *found;
    from = range_.high;
  }
  return std::nullopt;
}

FileBlock ExtentMap::end() {
  load(FileBlock(limits::kMaxFileBlock));
  return leaf_.empty() ? FileBlock(0) : leaf_.back().file_block + leaf_.back().length_blocks;
}

void ExtentMap::load(FileBlock at) {
  if (range_.low <= at && at < range_.high) return;
  const BtreeLayout layout(BtreeKind::kBmap, reader_.geometry().block_bytes);
  range_ = {};  // nothing is loaded should a read throw
  leaf_.clear();
  std::vector<Child> children = root_;
  Range range{.low = FileBlock(0), .high = kEnd};
  for (std::uint32_t level = root_level_; level-- > 0;) {
    const auto after = std::upper_bound(children.begin(), children.end(), at,
                                        [](FileBlock block, const Child& child) { return block < child.key; });
    const auto chosen = after == children.begin() ? after : after - 1;
    if (chosen != children.begin()) range.low = chosen->key;
    if (chosen + 1 != children.end()) range.high = (chosen + 1)->key;
    const Child child = *chosen;
    const std::vector<std::byte> block = read_block(child, level, range);
    if (level == 0) {
      take_leaf(block, range, child.block);
      return;
    }
    const std::uint32_t count = view<LongBtreeHeader>(block).numrecs;
    children.clear();
    for (std::uint32_t i = 0; i < count; ++i) {
      children.push_back(
          {FileBlock(view<be64>(block, layout.key_offset(i))), FsBlock(view<be64>(block, layout.pointer_offset(i)))});
    }
    if (children.back().key >= range.high) reader_.corrupt(place(child.block), "it has keys of its neighbour's");
  }
}

std::vector<std::byte> ExtentMap::read_block(const Child& child, std::uint32_t level, Range range) const {
  const Geometry& geometry = reader_.geometry();
  if (!geometry.valid_fs_block(child.block)) {
    // Verifiers look at every pointer; byte_of() must never see a wrong one.
    reader_.corrupt({.structure = "extent map", .ino = ino_}, "a pointer leads outside of the filesystem");
  }
  std::vector<std::byte> block(geometry.block_bytes);
  reader_.device().read(geometry.byte_of(child.block), block);
  reader_.require(
      verify_long_btree_block(block, geometry,
                              {.block = child.block, .owner = ino_, .level = level, .attribute_fork = written_only_}),
      place(child.block));
  const BtreeLayout layout(BtreeKind::kBmap, geometry.block_bytes);
  if (view<LongBtreeHeader>(block).numrecs == 0) reader_.corrupt(place(child.block), "it is empty");
  const FileBlock first = level == 0 ? Extent::decode(view<ExtentRecord>(block, layout.record_offset(0))).file_block
                                     : FileBlock(view<be64>(block, layout.key_offset(0)));
  if (first != child.key || first >= range.high) {
    reader_.corrupt(place(child.block), fmt::format("its first file block ought to be the key in its parent (found {}, "
                                                    "expected {})",
                                                    first.value(), child.key.value()));
  }
  return block;
}

void ExtentMap::take_leaf(ByteSpan block, Range range, FsBlock address) {
  const BtreeLayout layout(BtreeKind::kBmap, reader_.geometry().block_bytes);
  const std::uint32_t count = view<LongBtreeHeader>(block).numrecs;
  for (const ExtentRecord& record : view_array<ExtentRecord>(block, layout.record_offset(0), count)) {
    leaf_.push_back(Extent::decode(record));
  }
  const Extent& last = leaf_.back();
  if (last.file_block.value() + last.length_blocks > range.high.value()) {
    leaf_.clear();
    reader_.corrupt(place(address), "an extent reaches into what its parent has elsewhere");
  }
  range_ = range;
}

}  // namespace xdax
