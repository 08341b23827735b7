#include "libfs/attr/fork_split.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "libfs/base/error.h"
#include "libfs/base/math.h"
#include "libfs/format/btree_block.h"
#include "libfs/format/remote_block.h"
#include "libfs/inode/fork_writer.h"
#include "libfs/space/allocator.h"

namespace xdax {
namespace {

constexpr std::uint32_t kUnitBytes = 8;
// Three extents, or a tree root of three entries: a data fork that is squeezed may still grow.
constexpr std::uint32_t kLeastDataBytes = 56;

std::uint32_t root_bytes(std::uint32_t entries) {
  return round_up(static_cast<std::uint32_t>(sizeof(BmapRootHeader) + entries * 2 * sizeof(be64)), kUnitBytes);
}

// A tree root without its layout.
struct Root {
  std::uint16_t level = 0;
  std::vector<std::uint64_t> keys, pointers;
};

Root read_root(ByteSpan fork) {
  const BmapRootLayout layout(static_cast<std::uint32_t>(fork.size()));
  const auto& header = view<BmapRootHeader>(fork);
  Root root{.level = header.level, .keys = {}, .pointers = {}};
  for (std::uint32_t i = 0; i < std::min<std::uint32_t>(header.numrecs, layout.max_entries()); ++i) {
    root.keys.push_back(view<be64>(fork, layout.key_offset(i)));
    root.pointers.push_back(view<be64>(fork, layout.pointer_offset(i)));
  }
  return root;
}

void write_root(MutableByteSpan fork, const Root& root) {
  const BmapRootLayout layout(static_cast<std::uint32_t>(fork.size()));
  XDAX_ASSERT(root.keys.size() <= layout.max_entries());
  std::fill(fork.begin(), fork.end(), std::byte{0});
  auto& header = mutable_view<BmapRootHeader>(fork);
  header.level = root.level;
  header.numrecs = static_cast<std::uint16_t>(root.keys.size());
  for (std::uint32_t i = 0; i < root.keys.size(); ++i) {
    mutable_view<be64>(fork, layout.key_offset(i)) = root.keys[i];
    mutable_view<be64>(fork, layout.pointer_offset(i)) = root.pointers[i];
  }
}

}  // namespace

std::uint32_t ForkSplit::room_bytes() const {
  return inode_.geometry().inode_bytes - static_cast<std::uint32_t>(sizeof(InodeCore));
}

std::uint32_t ForkSplit::preferred_data_bytes() const { return round_down(room_bytes() * 7 / 12, kUnitBytes); }

// What the data fork cannot do without, in its present form.
std::uint32_t ForkSplit::data_need_bytes() const {
  const InodeCore& core = inode_.core();
  std::uint64_t need = 0;
  switch (data_format()) {
    case ForkFormat::kDev:
      return kUnitBytes;
    case ForkFormat::kLocal:
      need = round_up(core.size.get(), kUnitBytes);
      break;
    case ForkFormat::kExtents:
      need = data_extent_count(core) * sizeof(ExtentRecord);
      break;
    default:
      need = root_bytes(view<BmapRootHeader>(inode_.fork(Fork::kData)).numrecs);
      break;
  }
  return static_cast<std::uint32_t>(std::clamp<std::uint64_t>(need, kLeastDataBytes, room_bytes()));
}

bool ForkSplit::make_room(std::uint32_t attr_bytes) {
  attr_bytes = std::max(attr_bytes, kLeastAttrBytes);
  const std::uint32_t room = room_bytes();
  const std::uint32_t present = inode_.core().forkoff * kUnitBytes;
  if (present != 0 && present < room && room - present >= attr_bytes) return true;
  const std::uint32_t need = data_need_bytes();
  if (attr_bytes > room || round_down(room - attr_bytes, kUnitBytes) < need) return false;
  const std::uint32_t most = round_down(room - attr_bytes, kUnitBytes);
  if (data_format() == ForkFormat::kDev) {
    move(need);  // nothing else is legal
  } else {
    move(present == 0 ? std::clamp(preferred_data_bytes(), need, most) : most);
  }
  return true;
}

void ForkSplit::force_room() {
  if (make_room(kLeastAttrBytes)) return;
  switch (data_format()) {
    case ForkFormat::kExtents:
      map_again(preferred_data_bytes());
      return;
    case ForkFormat::kBtree:
      push_root_down();
      move(preferred_data_bytes());
      return;
    case ForkFormat::kLocal:
      if (inode_.type() != FileType::kSymlink) break;
      move_target_out();
      move(preferred_data_bytes());
      return;
    default:
      break;
  }
  throw RefusalError(Errc::kNoSpace, fmt::format("{}: inode {}: its content leaves no room for attributes",
                                                 inode_.transaction().journal().device().name(), inode_.ino().value()));
}

void ForkSplit::remove() {
  XDAX_ASSERT(attr_extent_count(inode_.core()) == 0);
  inode_.change_core().aformat = static_cast<std::uint8_t>(ForkFormat::kExtents);
  // A map that fits the larger fork as a list must be one.
  if (data_format() == ForkFormat::kBtree && data_extent_count(inode_.core()) <= room_bytes() / sizeof(ExtentRecord)) {
    map_again(0);
  } else {
    move(0);
  }
}

void ForkSplit::move(std::uint32_t data_bytes) {
  const bool tree = data_format() == ForkFormat::kBtree;
  const Root root = tree ? read_root(inode_.fork(Fork::kData)) : Root{};
  const std::uint32_t before = std::max<std::uint32_t>(inode_.core().forkoff * kUnitBytes, kUnitBytes);
  inode_.change_core().forkoff = static_cast<std::uint8_t>(data_bytes / kUnitBytes);
  // Whichever fork grew, nothing of the other is left in it.
  const MutableByteSpan data = inode_.change_fork(Fork::kData);
  if (before < data.size() && inode_.core().forkoff == 0) std::fill(data.begin() + before, data.end(), std::byte{0});
  const MutableByteSpan attr = inode_.change_fork(Fork::kAttr);
  std::fill(attr.begin(), attr.end(), std::byte{0});
  if (tree) write_root(data, root);
}

// Takes the data fork's map apart and builds it again in a fork of another size, in the form that fits there.
void ForkSplit::map_again(std::uint32_t data_bytes) {
  std::vector<Extent> extents;
  ForkWriter data(inode_, Fork::kData);
  while (const auto last = data.last()) {
    for (const Extent& each : data.remove(last->file_block, last->length_blocks)) extents.push_back(each);
  }
  move(data_bytes);
  for (auto extent = extents.rbegin(); extent != extents.rend(); ++extent) data.add(*extent);
}

// The root's entries go into blocks below it, so that the root needs next to none.
void ForkSplit::push_root_down() {
  const Geometry& geometry = inode_.geometry();
  Transaction& transaction = inode_.transaction();
  const Root old = read_root(inode_.fork(Fork::kData));
  const BtreeLayout layout(BtreeKind::kBmap, geometry.block_bytes);
  const auto entries = static_cast<std::uint32_t>(old.keys.size());
  const std::uint32_t blocks = div_ceil(entries, layout.max_keys());
  Root root{.level = static_cast<std::uint16_t>(old.level + 1), .keys = {}, .pointers = {}};
  std::vector<MutableByteSpan> made;
  const bool file = inode_.type() == FileType::kRegular;
  for (std::uint32_t i = 0; i < blocks; ++i) {
    const ExtentOwner owner{.owner = inode_.ino().value(), .offset = rmap::kBmapBlock};
    const FsBlock block = Allocator(transaction)
                              .allocate({.least = 1, .most = 1, .near = FsBlock(old.pointers.front()), .owner = owner})
                              .start;
    inode_.change_core().nblocks += 1;
    const MutableByteSpan bytes = transaction.create(
        {.byte = geometry.byte_of(block), .length_bytes = geometry.block_bytes},
        {.kind = file ? MetadataKind::kDataMap : MetadataKind::kAttrMap, .owner = inode_.ino(), .file_block = {}});
    const std::uint32_t from = static_cast<std::uint32_t>(std::uint64_t{entries} * i / blocks);
    const std::uint32_t to = static_cast<std::uint32_t>(std::uint64_t{entries} * (i + 1) / blocks);
    auto& header = mutable_view<LongBtreeHeader>(bytes);
    header.magic = layout.spec().magic;
    header.level = old.level;
    header.numrecs = static_cast<std::uint16_t>(to - from);
    header.leftsib = i == 0 ? kNullFsBlock.value() : root.pointers.back();
    header.rightsib = kNullFsBlock.value();
    if (i != 0) mutable_view<LongBtreeHeader>(made.back()).rightsib = block.value();
    header.blkno = geometry.disk_address(block).value();
    header.uuid = geometry.uuid;
    header.owner = inode_.ino().value();
    for (std::uint32_t at = from; at < to; ++at) {
      mutable_view<be64>(bytes, layout.key_offset(at - from)) = old.keys[at];
      mutable_view<be64>(bytes, layout.pointer_offset(at - from)) = old.pointers[at];
    }
    root.keys.push_back(old.keys[from]);
    root.pointers.push_back(block.value());
    made.push_back(bytes);
  }
  write_root(inode_.change_fork(Fork::kData), root);
}

// The target of a symbolic link goes from the inode into a block.
void ForkSplit::move_target_out() {
  const Geometry& geometry = inode_.geometry();
  const ByteSpan fork = inode_.fork(Fork::kData);
  const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(inode_.core().size, fork.size()));
  const std::vector<std::byte> target(fork.begin(), fork.begin() + static_cast<std::ptrdiff_t>(size));
  XDAX_ASSERT(size <= remote_capacity_bytes(geometry.block_bytes));
  inode_.change_core().format = static_cast<std::uint8_t>(ForkFormat::kExtents);
  const MutableByteSpan changed = inode_.change_fork(Fork::kData);
  std::fill(changed.begin(), changed.end(), std::byte{0});
  const FsBlock block = ForkWriter(inode_, Fork::kData).allocate(FileBlock(0), 1, 1).start;
  const MutableByteSpan bytes =
      inode_.transaction().create({.byte = geometry.byte_of(block), .length_bytes = geometry.block_bytes},
                                  {.kind = MetadataKind::kSymlink, .owner = inode_.ino(), .file_block = {}});
  auto& header = mutable_view<RemoteHeader>(bytes);
  header.magic = RemoteHeader::kSymlinkMagic;
  header.bytes = static_cast<std::uint32_t>(size);
  header.uuid = geometry.uuid;
  header.owner = inode_.ino().value();
  header.blkno = geometry.disk_address(block).value();
  std::copy(target.begin(), target.end(), bytes.begin() + sizeof(RemoteHeader));
}

}  // namespace xdax
