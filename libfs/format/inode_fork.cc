#include "libfs/format/inode_fork.h"

#include <algorithm>

namespace xdax {
namespace {

constexpr std::uint32_t kCoreBytes = sizeof(InodeCore);
/// The header of attributes inside an inode starts with their size in bytes.
constexpr std::uint32_t kLeastLocalAttrBytes = 4;

class ForkCheck {
 public:
  ForkCheck(ByteSpan inode, const Geometry& geometry, Fork fork, Flaws& flaws)
      : inode_(inode),
        core_(view<InodeCore>(inode)),
        geometry_(geometry),
        fork_(fork),
        area_(fork_area(core_, static_cast<std::uint32_t>(inode.size()), fork)),
        flaws_(flaws) {}

  void device() {
    if (fork_ == Fork::kAttr) flaw(FlawKind::kRange, format_field(), format_offset(), 0, 1, "not a device number");
    no_extents();
  }

  void local() {
    no_extents();
    const ByteSpan bytes = inode_.subspan(area_.offset_bytes, area_.size_bytes);
    if (fork_ == Fork::kAttr) {
      const std::uint32_t total = bytes.size() < sizeof(be16) ? 0u : view<be16>(bytes).get();
      if (total < kLeastLocalAttrBytes || total > bytes.size()) {
        flaw(FlawKind::kRange, "attr.totsize", area_.offset_bytes, total, area_.size_bytes, "inside the fork");
      }
      return;
    }
    if (core_.size > area_.size_bytes) {
      flaw(FlawKind::kRange, "inode.size", offsetof(InodeCore, size), core_.size, area_.size_bytes,
           "at most the fork that holds the content");
      return;
    }
    if (core_.type() != FileType::kSymlink) return;
    const ByteSpan text = bytes.first(static_cast<std::size_t>(core_.size));
    if (const auto nul = std::find(text.begin(), text.end(), std::byte{0}); nul != text.end()) {
      flaw(FlawKind::kRange, "symlink.target", area_.offset_bytes + static_cast<std::size_t>(nul - text.begin()), 0, 1,
           "no zero byte in the target");
    }
  }

  void extents() {
    const std::uint64_t count = extent_count(core_, fork_);
    const std::uint64_t most = area_.size_bytes / sizeof(ExtentRecord);
    if (count > most) {
      flaw(FlawKind::kCount, count_field(), count_offset(), count, most, "at most the records that fit the fork");
      return;
    }
    const bool written_only = fork_ == Fork::kAttr || core_.type() != FileType::kRegular;
    flaws_.add_all(verify_extents(fork_extents(inode_, fork_), geometry_, written_only, area_.offset_bytes));
  }

  void btree() {
    const std::uint64_t count = extent_count(core_, fork_);
    const std::uint64_t most_inline = area_.size_bytes / sizeof(ExtentRecord);
    if (count <= most_inline) {
      flaw(FlawKind::kCount, count_field(), count_offset(), count, most_inline + 1,
           "more extents than fit the fork as a list");
    }
    flaws_.add_all(
        verify_bmap_root(inode_.subspan(area_.offset_bytes, area_.size_bytes), geometry_, area_.offset_bytes));
  }

  void unsupported() {
    flaw(FlawKind::kRange, format_field(), format_offset(), static_cast<std::uint64_t>(fork_format(core_, fork_)),
         static_cast<std::uint64_t>(ForkFormat::kBtree), "a supported fork format");
  }

 private:
  void no_extents() {
    if (const std::uint64_t count = extent_count(core_, fork_); count != 0) {
      flaw(FlawKind::kConsistency, count_field(), count_offset(), count, 0, "zero in a fork without extents");
    }
  }
  [[nodiscard]] const char* format_field() const { return fork_ == Fork::kData ? "inode.format" : "inode.aformat"; }
  [[nodiscard]] std::size_t format_offset() const {
    return fork_ == Fork::kData ? offsetof(InodeCore, format) : offsetof(InodeCore, aformat);
  }
  [[nodiscard]] const char* count_field() const { return fork_ == Fork::kData ? "inode.nextents" : "inode.anextents"; }
  [[nodiscard]] std::size_t count_offset() const {
    if (fork_ == Fork::kData) {
      return core_.nrext64() ? offsetof(InodeCore, big_nextents) : offsetof(InodeCore, nextents);
    }
    return core_.nrext64() ? offsetof(InodeCore, nextents) : offsetof(InodeCore, anextents);
  }
  void flaw(FlawKind kind, const char* field, std::size_t offset_bytes, std::uint64_t found, std::uint64_t expected,
            const char* rule) {
    flaws_.add({kind, field, static_cast<std::uint32_t>(offset_bytes), found, expected, rule});
  }

  ByteSpan inode_;
  const InodeCore& core_;
  const Geometry& geometry_;
  Fork fork_;
  ForkArea area_;
  Flaws& flaws_;
};

}  // namespace

ForkArea fork_area(const InodeCore& core, std::uint32_t inode_bytes, Fork fork) {
  XDAX_ASSERT(inode_bytes >= kCoreBytes);
  const std::uint32_t room = inode_bytes - kCoreBytes;
  const std::uint32_t split = std::min(std::uint32_t{core.forkoff} * 8, room);
  if (fork == Fork::kData) return {.offset_bytes = kCoreBytes, .size_bytes = split != 0 ? split : room};
  return {.offset_bytes = kCoreBytes + split, .size_bytes = split != 0 ? room - split : 0};
}

ByteSpan fork_bytes(ByteSpan inode, Fork fork) {
  const ForkArea area = fork_area(view<InodeCore>(inode), static_cast<std::uint32_t>(inode.size()), fork);
  return inode.subspan(area.offset_bytes, area.size_bytes);
}

std::span<const ExtentRecord> fork_extents(ByteSpan inode, Fork fork) {
  const auto& core = view<InodeCore>(inode);
  if (fork_format(core, fork) != ForkFormat::kExtents) return {};
  const ByteSpan bytes = fork_bytes(inode, fork);
  const std::uint64_t count = std::min<std::uint64_t>(extent_count(core, fork), bytes.size() / sizeof(ExtentRecord));
  return view_array<ExtentRecord>(bytes, 0, static_cast<std::size_t>(count));
}

Flaws verify_bmap_root(ByteSpan fork, const Geometry& geometry, std::uint32_t base_offset_bytes) {
  Flaws flaws;
  const BmapRootLayout layout(static_cast<std::uint32_t>(fork.size()));
  if (layout.max_entries() == 0) {
    flaws.add({FlawKind::kRange, "bmap_root", base_offset_bytes, fork.size(), sizeof(BmapRootHeader),
               "a fork with room for a tree root"});
    return flaws;
  }
  const auto& header = view<BmapRootHeader>(fork);
  const std::uint32_t count = header.numrecs;
  if (header.level == 0 || header.level >= limits::kMaxBtreeLevels) {
    flaws.add({FlawKind::kLevel, "bmap_root.level", base_offset_bytes, header.level, limits::kMaxBtreeLevels - 1,
               "1 to 8: leaves are blocks of their own"});
  }
  if (count == 0 || count > layout.max_entries()) {
    flaws.add({FlawKind::kCount, "bmap_root.numrecs",
               base_offset_bytes + static_cast<std::uint32_t>(offsetof(BmapRootHeader, numrecs)), count,
               layout.max_entries(), "one entry to as many as fit the fork"});
    return flaws;
  }
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint64_t key = view<be64>(fork, layout.key_offset(i));
    const std::uint64_t previous = i == 0 ? 0 : view<be64>(fork, layout.key_offset(i - 1)).get();
    if (key >= geometry.max_file_blocks() || (i > 0 && key <= previous)) {
      flaws.add({FlawKind::kOrder, "bmap_root.keys", base_offset_bytes + layout.key_offset(i), key, previous,
                 "a file block greater than the key before it"});
    }
    const FsBlock child{view<be64>(fork, layout.pointer_offset(i))};
    if (!geometry.valid_fs_block(child)) {
      flaws.add({FlawKind::kPointer, "bmap_root.ptrs", base_offset_bytes + layout.pointer_offset(i), child.value(), 0,
                 "a block of the filesystem"});
    }
  }
  return flaws;
}

Flaws verify_fork(ByteSpan inode, const Geometry& geometry, Fork fork) {
  Flaws flaws;
  ForkCheck check(inode, geometry, fork, flaws);
  switch (fork_format(view<InodeCore>(inode), fork)) {
    case ForkFormat::kDev:
      check.device();
      break;
    case ForkFormat::kLocal:
      check.local();
      break;
    case ForkFormat::kExtents:
      check.extents();
      break;
    case ForkFormat::kBtree:
      check.btree();
      break;
    default:
      check.unsupported();
      break;
  }
  return flaws;
}

}  // namespace xdax
