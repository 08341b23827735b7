#include "libfs/inode/fork_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "libfs/base/error.h"

namespace xdax {

// The tree's root, in the inode, and where its blocks come from.
class ForkWriter::Root final : public BtreeStore {
 public:
  Root(const InodeEdit& inode, Fork fork) : inode_(inode), fork_(fork) {}

  [[nodiscard]] std::uint32_t levels() override {
    return std::clamp<std::uint32_t>(view<BmapRootHeader>(inode_.fork(fork_)).level, 1, limits::kMaxBtreeLevels - 1) +
           1;
  }
  [[nodiscard]] std::uint64_t root() override { return 0; }
  void set_root(std::uint64_t /*pointer*/, std::uint32_t /*levels*/) override {}
  [[nodiscard]] ByteSpan embedded() override { return inode_.fork(fork_); }
  [[nodiscard]] MutableByteSpan change_embedded() override { return inode_.change_fork(fork_); }
  [[nodiscard]] BlockPlace place(std::uint64_t pointer) override {
    const Geometry& geometry = inode_.geometry();
    if (!geometry.valid_fs_block(FsBlock(pointer))) {
      throw CorruptionError(Errc::kBadStructure,
                            fmt::format("{}: inode {}: its extent map names a block outside of the filesystem",
                                        inode_.transaction().journal().device().name(), inode_.ino().value()));
    }
    return {.byte = geometry.byte_of(FsBlock(pointer)), .length_bytes = geometry.block_bytes};
  }
  [[nodiscard]] MetadataIdentity identity() override {
    const bool written_only = fork_ == Fork::kAttr || inode_.type() != FileType::kRegular;
    return {.kind = written_only ? MetadataKind::kAttrMap : MetadataKind::kDataMap, .owner = inode_.ino()};
  }
  [[nodiscard]] std::uint64_t owner() override { return inode_.ino().value(); }
  [[nodiscard]] ExtentOwner block_owner() const {
    return {.owner = inode_.ino().value(), .offset = rmap::kBmapBlock | (fork_ == Fork::kAttr ? rmap::kAttrFork : 0)};
  }
  [[nodiscard]] std::uint64_t allocate(std::uint64_t near) override {
    const Extent64 extent =
        Allocator(inode_.transaction())
            .allocate({.least = 1, .most = 1, .near = FsBlock(near), .owner = block_owner(), .from_pool = from_pool_});
    inode_.change_core().nblocks += 1;
    return extent.start.value();
  }
  void release(std::uint64_t pointer) override {
    Allocator(inode_.transaction()).free({.start = FsBlock(pointer), .length_blocks = 1}, block_owner());
    inode_.change_core().nblocks -= 1;
  }
  void use_pool(bool use) { from_pool_ = use; }

 private:
  const InodeEdit& inode_;
  Fork fork_;
  bool from_pool_ = false;
};

namespace {

be64 key_of(FileBlock block) { return block.value(); }
std::uint64_t end_of(const Extent& extent) { return extent.file_block.value() + extent.length_blocks; }

}  // namespace

ForkWriter::ForkWriter(const InodeEdit& inode, Fork fork)
    : inode_(inode), fork_(fork), root_(std::make_unique<Root>(inode, fork)) {
  inode.require_allocated();
  const ForkFormat format = fork_format(inode.core(), fork);
  if (format != ForkFormat::kExtents && format != ForkFormat::kBtree) {
    throw CorruptionError(Errc::kBadStructure,
                          fmt::format("{}: inode {}: a fork maps no blocks where it ought to",
                                      inode.transaction().journal().device().name(), inode.ino().value()));
  }
}

ForkWriter::~ForkWriter() = default;

void ForkWriter::use_pool(bool use) { root_->use_pool(use); }

std::uint32_t ForkWriter::most_inline() const {
  return static_cast<std::uint32_t>(inode_.fork(fork_).size() / sizeof(ExtentRecord));
}

Btree ForkWriter::tree() { return {inode_.transaction(), *root_, BtreeKind::kBmap}; }

std::vector<Extent> ForkWriter::inline_extents() const {
  std::vector<Extent> extents;
  for (const ExtentRecord& record : fork_extents(inode_.bytes(), fork_)) extents.push_back(Extent::decode(record));
  return extents;
}

void ForkWriter::store_inline(const std::vector<Extent>& extents) {
  const MutableByteSpan fork = inode_.change_fork(fork_);
  XDAX_ASSERT(extents.size() <= most_inline());
  const auto records = mutable_view_array<ExtentRecord>(fork, 0, extents.size());
  for (std::size_t i = 0; i < extents.size(); ++i) records[i] = extents[i].encode();
  set_count(extents.size());
}

void ForkWriter::set_count(std::uint64_t count) {
  InodeCore& core = inode_.change_core();
  const bool large = core.nrext64();
  const std::uint64_t most = fork_ == Fork::kData ? (large ? limits::kMaxDataExtentsNrext64 : limits::kMaxDataExtents)
                                                  : (large ? limits::kMaxAttrExtentsNrext64 : limits::kMaxAttrExtents);
  if (count > most) {
    throw RefusalError(Errc::kNoSpace,
                       fmt::format("inode {}: a fork has as many extents as it can", inode_.ino().value()));
  }
  fork_ == Fork::kData ? set_data_extent_count(core, count) : set_attr_extent_count(core, count);
}

void ForkWriter::change_blocks(std::int64_t blocks) {
  inode_.change_core().nblocks += static_cast<std::uint64_t>(blocks);
}

std::optional<Extent> ForkWriter::next(FileBlock block) {
  if (!is_tree()) {
    for (const Extent& extent : inline_extents()) {
      if (end_of(extent) > block.value()) return extent;
    }
    return std::nullopt;
  }
  Btree map = tree();
  const be64 key = key_of(block);
  if (map.find_at_most(std::as_bytes(std::span(&key, 1)))) {
    const Extent extent = Extent::decode(view<ExtentRecord>(map.record()));
    if (end_of(extent) > block.value()) return extent;
    if (!map.next()) return std::nullopt;
    return Extent::decode(view<ExtentRecord>(map.record()));
  }
  if (!map.find_first()) return std::nullopt;
  return Extent::decode(view<ExtentRecord>(map.record()));
}

std::optional<Extent> ForkWriter::find(FileBlock block) {
  const auto extent = next(block);
  return extent && extent->file_block <= block ? extent : std::nullopt;
}

std::optional<Extent> ForkWriter::before(FileBlock block) {
  if (block.value() == 0) return std::nullopt;
  if (!is_tree()) {
    std::optional<Extent> found;
    for (const Extent& extent : inline_extents()) {
      if (extent.file_block < block) found = extent;
    }
    return found;
  }
  Btree map = tree();
  const be64 key = key_of(block - 1);
  if (!map.find_at_most(std::as_bytes(std::span(&key, 1)))) return std::nullopt;
  return Extent::decode(view<ExtentRecord>(map.record()));
}

std::optional<Extent> ForkWriter::last() {
  if (!is_tree()) {
    const std::vector<Extent> extents = inline_extents();
    return extents.empty() ? std::nullopt : std::optional(extents.back());
  }
  Btree map = tree();
  if (!map.find_last()) return std::nullopt;
  return Extent::decode(view<ExtentRecord>(map.record()));
}

std::vector<Extent> ForkWriter::around(FileBlock start, FileBlock end) {
  std::vector<Extent> found;
  FileBlock at = start.value() == 0 ? start : start - 1;
  for (;;) {
    const auto extent = next(at);
    if (!extent || extent->file_block > end) return found;
    found.push_back(*extent);
    at = FileBlock(end_of(*extent));
  }
}

// Joins neighbours that touch in the file and on disk, as long as a record can hold them.
void ForkWriter::merge(std::vector<Extent>& extents) const {
  const Geometry& geometry = inode_.geometry();
  std::size_t kept = 0;
  for (const Extent& extent : extents) {
    if (extent.length_blocks == 0) continue;
    if (kept > 0) {
      Extent& before = extents[kept - 1];
      const bool joins =
          end_of(before) == extent.file_block.value() && before.start + before.length_blocks == extent.start &&
          geometry.ag_of(before.start) == geometry.ag_of(extent.start) && before.unwritten == extent.unwritten &&
          std::uint64_t{before.length_blocks} + extent.length_blocks <= limits::kMaxExtentBlocks;
      if (joins) {
        before.length_blocks += extent.length_blocks;
        continue;
      }
    }
    extents[kept++] = extent;
  }
  extents.resize(kept);
}

void ForkWriter::replace(const std::vector<Extent>& before, std::vector<Extent> after) {
  merge(after);
  if (before == after) return;
  const std::uint64_t count = extent_count() - before.size() + after.size();
  if (!is_tree()) {
    std::vector<Extent> all = inline_extents();
    std::erase_if(all,
                  [&](const Extent& each) { return std::find(before.begin(), before.end(), each) != before.end(); });
    all.insert(all.end(), after.begin(), after.end());
    std::sort(all.begin(), all.end(), [](const Extent& a, const Extent& b) { return a.file_block < b.file_block; });
    if (all.size() <= most_inline()) {
      store_inline(all);
    } else {
      to_tree(all);
    }
    return;
  }
  // In place where the order stays, which is the common case of an extent that grows or shrinks.
  std::size_t same = 0;
  while (same < before.size() && same < after.size() && before[same] == after[same]) ++same;
  const auto at = [&](Btree& map, const Extent& extent) {
    const be64 key = key_of(extent.file_block);
    if (!map.find_at_most(std::as_bytes(std::span(&key, 1))) ||
        Extent::decode(view<ExtentRecord>(map.record())) != extent) {
      throw CorruptionError(Errc::kBadStructure, fmt::format("inode {}: its extent map changed", inode_.ino().value()));
    }
  };
  std::size_t old = same;
  std::size_t fresh = same;
  if (old < before.size() && fresh < after.size() && after[fresh].file_block >= before[old].file_block &&
      (old + 1 == before.size() || after[fresh].file_block < before[old + 1].file_block)) {
    Btree map = tree();
    at(map, before[old]);
    const ExtentRecord record = after[fresh].encode();
    map.update(std::as_bytes(std::span(&record, 1)));
    ++old;
    ++fresh;
  }
  for (; old < before.size(); ++old) {
    Btree map = tree();
    at(map, before[old]);
    map.erase();
  }
  for (; fresh < after.size(); ++fresh) {
    const ExtentRecord record = after[fresh].encode();
    tree().insert(std::as_bytes(std::span(&record, 1)));
  }
  set_count(count);
  if (count <= most_inline()) to_inline();
}

// One leaf takes all: there is one record more than fits the inode.
void ForkWriter::to_tree(const std::vector<Extent>& extents) {
  const Geometry& geometry = inode_.geometry();
  const BtreeLayout layout(BtreeKind::kBmap, geometry.block_bytes);
  InodeCore& core = inode_.change_core();
  (fork_ == Fork::kData ? core.format : core.aformat) = static_cast<std::uint8_t>(ForkFormat::kBtree);
  // As many leaves as it takes: in small blocks the first records may not fit one.
  const std::size_t per_leaf = std::min<std::size_t>(layout.max_records(), extents.size());
  const std::uint64_t leaf = root_->allocate(extents.front().start.value());
  const MutableByteSpan bytes = inode_.transaction().create(root_->place(leaf), root_->identity());
  auto& header = mutable_view<LongBtreeHeader>(bytes);
  header.magic = layout.spec().magic;
  header.numrecs = static_cast<std::uint16_t>(per_leaf);
  header.leftsib = kNullFsBlock.value();
  header.rightsib = kNullFsBlock.value();
  header.blkno = root_->place(leaf).byte >> kBasicBlockLog;
  header.uuid = geometry.uuid;
  header.owner = inode_.ino().value();
  for (std::size_t i = 0; i < per_leaf; ++i) {
    mutable_view<ExtentRecord>(bytes, layout.record_offset(static_cast<std::uint32_t>(i))) = extents[i].encode();
  }
  const MutableByteSpan root = inode_.change_fork(fork_);
  std::fill(root.begin(), root.end(), std::byte{0});
  const BmapRootLayout root_layout(static_cast<std::uint32_t>(root.size()));
  mutable_view<BmapRootHeader>(root).level = std::uint16_t{1};
  mutable_view<BmapRootHeader>(root).numrecs = std::uint16_t{1};
  mutable_view<be64>(root, root_layout.key_offset(0)) = extents.front().file_block.value();
  mutable_view<be64>(root, root_layout.pointer_offset(0)) = leaf;
  for (std::size_t i = per_leaf; i < extents.size(); ++i) {
    const ExtentRecord record = extents[i].encode();
    tree().insert(std::as_bytes(std::span(&record, 1)));
  }
  set_count(extents.size());
}

void ForkWriter::to_inline() {
  std::vector<Extent> extents;
  Btree map = tree();
  for (bool more = map.find_first(); more; more = map.next()) {
    extents.push_back(Extent::decode(view<ExtentRecord>(map.record())));
    if (extents.size() > most_inline()) {
      throw CorruptionError(Errc::kBadStructure,
                            fmt::format("inode {}: its extent map holds more than it counts", inode_.ino().value()));
    }
  }
  // Every block of the tree, from the root down, level by level.
  const ByteSpan root = inode_.fork(fork_);
  const BmapRootLayout root_layout(static_cast<std::uint32_t>(root.size()));
  const BtreeLayout layout(BtreeKind::kBmap, inode_.geometry().block_bytes);
  std::vector<std::uint64_t> blocks;
  for (std::uint32_t i = 0; i < view<BmapRootHeader>(root).numrecs; ++i) {
    blocks.push_back(view<be64>(root, root_layout.pointer_offset(i)));
  }
  for (std::uint32_t level = view<BmapRootHeader>(root).level; level-- > 0;) {
    std::vector<std::uint64_t> below;
    for (const std::uint64_t block : blocks) {
      const ByteSpan bytes = inode_.transaction().read(root_->place(block), root_->identity());
      const std::uint32_t entries = level == 0 ? 0u : view<LongBtreeHeader>(bytes).numrecs.get();
      for (std::uint32_t i = 0; i < entries; ++i) below.push_back(view<be64>(bytes, layout.pointer_offset(i)));
    }
    for (const std::uint64_t block : blocks) {
      inode_.transaction().give_up(root_->place(block));
      root_->release(block);
    }
    blocks = std::move(below);
  }
  InodeCore& core = inode_.change_core();
  (fork_ == Fork::kData ? core.format : core.aformat) = static_cast<std::uint8_t>(ForkFormat::kExtents);
  const MutableByteSpan fork = inode_.change_fork(fork_);
  std::fill(fork.begin(), fork.end(), std::byte{0});
  store_inline(extents);
}

void ForkWriter::add(const Extent& extent) {
  const FileBlock end = extent.file_block + extent.length_blocks;
  const std::vector<Extent> before = around(extent.file_block, end);
  std::vector<Extent> after;
  bool placed = false;
  for (const Extent& each : before) {
    if (!placed && each.file_block > extent.file_block) {
      after.push_back(extent);
      placed = true;
    }
    if (end_of(each) > extent.file_block.value() && each.file_block < end) {
      throw CorruptionError(Errc::kBadStructure, fmt::format("inode {}: file block {} is mapped already",
                                                             inode_.ino().value(), extent.file_block.value()));
    }
    after.push_back(each);
  }
  if (!placed) after.push_back(extent);
  replace(before, std::move(after));
  change_blocks(extent.length_blocks);
}

std::vector<Extent> ForkWriter::remove(FileBlock start, std::uint64_t length_blocks) {
  const std::uint64_t from = start.value();
  const std::uint64_t to = from + length_blocks;
  std::vector<Extent> removed;
  std::vector<Extent> before;
  for (const Extent& each : around(start, FileBlock(to))) {
    if (end_of(each) > from && each.file_block.value() < to) before.push_back(each);
  }
  std::vector<Extent> after;
  for (const Extent& each : before) {
    const std::uint64_t begin = each.file_block.value();
    const std::uint64_t cut = std::max(begin, from);
    const std::uint64_t resume = std::min(end_of(each), to);
    const auto part = [&](std::uint64_t part_from, std::uint64_t part_to) {
      return Extent{.file_block = FileBlock(part_from),
                    .start = each.start + (part_from - begin),
                    .length_blocks = static_cast<std::uint32_t>(part_to - part_from),
                    .unwritten = each.unwritten};
    };
    if (begin < cut) after.push_back(part(begin, cut));
    removed.push_back(part(cut, resume));
    if (resume < end_of(each)) after.push_back(part(resume, end_of(each)));
  }
  std::int64_t blocks = 0;
  for (const Extent& each : removed) blocks += each.length_blocks;
  replace(before, std::move(after));
  change_blocks(-blocks);
  return removed;
}

void ForkWriter::set_unwritten(FileBlock start, std::uint64_t length_blocks, bool unwritten) {
  const std::uint64_t from = start.value();
  const std::uint64_t to = from + length_blocks;
  const std::vector<Extent> before = around(start, FileBlock(to));
  std::vector<Extent> after;
  for (const Extent& each : before) {
    const std::uint64_t begin = each.file_block.value();
    const std::uint64_t end = end_of(each);
    if (end <= from || begin >= to) {
      after.push_back(each);
      continue;
    }
    const auto part = [&](std::uint64_t part_from, std::uint64_t part_to, bool state) {
      if (part_from >= part_to) return;
      after.push_back({.file_block = FileBlock(part_from),
                       .start = each.start + (part_from - begin),
                       .length_blocks = static_cast<std::uint32_t>(part_to - part_from),
                       .unwritten = state});
    };
    const std::uint64_t cut = std::max(begin, from);
    const std::uint64_t resume = std::min(end, to);
    part(begin, cut, each.unwritten);
    part(cut, resume, unwritten);
    part(resume, end, each.unwritten);
    if (inode_.geometry().features.rmapbt() && each.unwritten != unwritten) {
      const Extent old{.file_block = FileBlock(cut),
                       .start = each.start + (cut - begin),
                       .length_blocks = static_cast<std::uint32_t>(resume - cut),
                       .unwritten = each.unwritten};
      Extent converted = old;
      converted.unwritten = unwritten;
      Group group(inode_.transaction(), inode_.geometry().ag_of(old.start));
      FreeSpace(group).fill_list();
      const GroupExtent blocks{.start = inode_.geometry().ag_block_of(old.start), .length_blocks = old.length_blocks};
      ReverseMap(group).remove(blocks, owner_of(old));
      FreeSpace(group).fill_list();
      ReverseMap(group).add(blocks, owner_of(converted));
    }
  }
  replace(before, std::move(after));
}

ExtentOwner ForkWriter::owner_of(const Extent& extent) const {
  return {.owner = inode_.ino().value(),
          .offset = extent.file_block.value() | (extent.unwritten ? rmap::kUnwritten : 0) |
                    (fork_ == Fork::kAttr ? rmap::kAttrFork : 0)};
}

Extent ForkWriter::allocate(FileBlock at, std::uint32_t least, std::uint32_t most) {
  Extent extent{.file_block = at, .start = {}, .length_blocks = most, .unwritten = false};
  SpaceRequest request{.least = least, .most = most, .owner = owner_of(extent)};
  request.near = inode_.geometry().fs_block(inode_.geometry().ag_of(inode_.ino()),
                                            inode_.geometry().ag_block_of(inode_.geometry().ag_inode_of(inode_.ino())));
  if (const auto before = at.value() == 0 ? std::nullopt : find(at - 1)) {
    request.near = before->start + before->length_blocks;
    if (!inode_.geometry().valid_fs_block(*request.near)) request.near = before->start;
  }
  const Extent64 found = Allocator(inode_.transaction()).allocate(request);
  extent.start = found.start;
  extent.length_blocks = found.length_blocks;
  add(extent);
  return extent;
}

void ForkWriter::free(FileBlock start, std::uint64_t length_blocks) {
  for (const Extent& extent : remove(start, length_blocks)) {
    Allocator(inode_.transaction())
        .release({.start = extent.start, .length_blocks = extent.length_blocks}, owner_of(extent));
  }
}

}  // namespace xdax
