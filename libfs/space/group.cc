#include "libfs/space/group.h"

#include <fmt/format.h>

#include <algorithm>

#include "libfs/base/error.h"
#include "libfs/format/btree_records.h"
#include "libfs/format/log_limits.h"
#include "libfs/space/free_space.h"

namespace xdax {
namespace {

MetadataIdentity kind(MetadataKind kind) { return {.kind = kind, .owner = {}, .file_block = {}}; }

}  // namespace

const Agf& Group::agf() { return view<Agf>(transaction_.read(header_place(1), kind(MetadataKind::kAgf))); }
Agf& Group::change_agf() { return mutable_view<Agf>(transaction_.change(header_place(1), kind(MetadataKind::kAgf))); }
const Agi& Group::agi() { return view<Agi>(transaction_.read(header_place(2), kind(MetadataKind::kAgi))); }
Agi& Group::change_agi() { return mutable_view<Agi>(transaction_.change(header_place(2), kind(MetadataKind::kAgi))); }

MutableByteSpan Group::change_list() { return transaction_.change(header_place(3), kind(MetadataKind::kAgfl)); }

AgBlock Group::take_from_list() {
  Agf& agf = change_agf();
  if (agf.flcount == 0) {
    throw RefusalError(Errc::kNoSpace, fmt::format("{}: group {} has no block left for its trees",
                                                   transaction_.journal().device().name(), ag_.value()));
  }
  const std::span<const be32> entries = agfl_entries(ByteSpan(change_list()));
  const std::uint32_t capacity = static_cast<std::uint32_t>(entries.size());
  const AgBlock block{entries[agf.flfirst % capacity]};
  if (!geometry().valid_ag_block(ag_, block)) {
    throw CorruptionError(Errc::kBadStructure,
                          fmt::format("{}: agfl of group {} names block {}, which is not inside the group",
                                      transaction_.journal().device().name(), ag_.value(), block.value()));
  }
  agf.flfirst = (agf.flfirst + 1) % capacity;
  agf.flcount -= 1;
  return block;
}

void Group::put_on_list(AgBlock block) {
  Agf& agf = change_agf();
  const std::span<be32> entries = agfl_entries(change_list());
  const std::uint32_t capacity = static_cast<std::uint32_t>(entries.size());
  if (agf.flcount >= capacity) {
    throw CorruptionError(Errc::kBadStructure, fmt::format("{}: agfl of group {} is full",
                                                           transaction_.journal().device().name(), ag_.value()));
  }
  agf.fllast = (agf.fllast + 1) % capacity;
  entries[agf.fllast] = block.value();
  agf.flcount += 1;
}

// A full split from leaf to root and a new root: for each level one block, and a level more; twice, because freeing and
// allocating may meet in one change. As kernels since 6.12 count it.
std::uint32_t Group::list_wanted() {
  const TreeHeights most = TreeHeights::of(geometry());
  const Agf& header = agf();
  const auto wanted = [](std::uint32_t levels, std::uint32_t most_levels) {
    return std::min(levels + 1, most_levels) * 2 - 2;
  };
  std::uint32_t blocks =
      wanted(header.levels[Agf::kBno], most.free_space) + wanted(header.levels[Agf::kCnt], most.free_space);
  if (geometry().features.rmapbt()) blocks += wanted(header.levels[Agf::kRmap], most.reverse_map);
  return blocks;
}

std::uint32_t GroupTree::levels() {
  const auto checked = [&](std::uint32_t levels) {
    // The verifiers of the headers bound it.
    return std::clamp(levels, 1u, limits::kMaxBtreeLevels);
  };
  switch (kind_) {
    case BtreeKind::kBno:
      return checked(group_.agf().levels[Agf::kBno]);
    case BtreeKind::kCnt:
      return checked(group_.agf().levels[Agf::kCnt]);
    case BtreeKind::kRmap:
      return checked(group_.agf().levels[Agf::kRmap]);
    case BtreeKind::kRefcount:
      return checked(group_.agf().refcount_level);
    case BtreeKind::kInobt:
      return checked(group_.agi().level);
    default:
      return checked(group_.agi().free_level);
  }
}

std::uint64_t GroupTree::root() {
  switch (kind_) {
    case BtreeKind::kBno:
      return group_.agf().roots[Agf::kBno];
    case BtreeKind::kCnt:
      return group_.agf().roots[Agf::kCnt];
    case BtreeKind::kRmap:
      return group_.agf().roots[Agf::kRmap];
    case BtreeKind::kRefcount:
      return group_.agf().refcount_root;
    case BtreeKind::kInobt:
      return group_.agi().root;
    default:
      return group_.agi().free_root;
  }
}

void GroupTree::set_root(std::uint64_t pointer, std::uint32_t levels) {
  const auto root = static_cast<std::uint32_t>(pointer);
  const auto set = [&](be32& stored_root, be32& stored_levels) {
    stored_root = root;
    stored_levels = levels;
  };
  switch (kind_) {
    case BtreeKind::kBno:
    case BtreeKind::kCnt:
    case BtreeKind::kRmap: {
      const auto tree = kind_ == BtreeKind::kBno ? Agf::kBno : kind_ == BtreeKind::kCnt ? Agf::kCnt : Agf::kRmap;
      Agf& agf = group_.change_agf();
      set(agf.roots[tree], agf.levels[tree]);
      return;
    }
    case BtreeKind::kRefcount: {
      Agf& agf = group_.change_agf();
      set(agf.refcount_root, agf.refcount_level);
      return;
    }
    case BtreeKind::kInobt: {
      Agi& agi = group_.change_agi();
      set(agi.root, agi.level);
      return;
    }
    default: {
      Agi& agi = group_.change_agi();
      set(agi.free_root, agi.free_level);
      return;
    }
  }
}

BlockPlace GroupTree::place(std::uint64_t pointer) {
  return group_.place(AgBlock(static_cast<std::uint32_t>(pointer)));
}

MetadataIdentity GroupTree::identity() { return kind(metadata_kind(kind_)); }

std::uint64_t GroupTree::rmap_owner() const {
  return kind_ == BtreeKind::kRefcount ? rmap::kOwnerRefcount : rmap::kOwnerInobt;
}

void GroupTree::count_block(std::int32_t change) {
  const auto amount = static_cast<std::uint32_t>(change);
  switch (kind_) {
    case BtreeKind::kRmap:
      group_.change_agf().rmap_blocks += amount;
      group_.change_agf().btreeblks += amount;
      return;
    case BtreeKind::kBno:
    case BtreeKind::kCnt:
      group_.change_agf().btreeblks += amount;
      return;
    case BtreeKind::kRefcount:
      group_.change_agf().refcount_blocks += amount;
      return;
    default:
      if (!group_.geometry().features.inobtcount()) return;
      (kind_ == BtreeKind::kInobt ? group_.change_agi().iblocks : group_.change_agi().fblocks) += amount;
      return;
  }
}

std::uint64_t GroupTree::allocate(std::uint64_t near) {
  AgBlock block;
  if (from_list()) {
    block = group_.take_from_list();
  } else {
    const auto extent = FreeSpace(group_).allocate({.least = 1,
                                                    .most = 1,
                                                    .near = AgBlock(static_cast<std::uint32_t>(near)),
                                                    .reserved = true,
                                                    .owner = {.owner = rmap_owner(), .offset = 0}});
    if (!extent) {
      throw RefusalError(Errc::kNoSpace, fmt::format("{}: group {} has no space for its {}",
                                                     group_.transaction().journal().device().name(),
                                                     group_.ag().value(), btree_spec(kind_).name));
    }
    block = extent->start;
  }
  count_block(1);
  return block.value();
}

void GroupTree::release(std::uint64_t pointer) {
  count_block(-1);
  const AgBlock block{static_cast<std::uint32_t>(pointer)};
  if (from_list()) {
    group_.put_on_list(block);
  } else {
    FreeSpace(group_).free({.start = block, .length_blocks = 1}, {.owner = rmap_owner(), .offset = 0});
  }
}

}  // namespace xdax
