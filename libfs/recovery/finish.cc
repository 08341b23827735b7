#include "libfs/recovery/finish.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "libfs/base/error.h"
#include "libfs/inode/fork_writer.h"
#include "libfs/inode/inactivate.h"
#include "libfs/inode/mapping.h"
#include "libfs/inode/unlinked.h"
#include "libfs/journal/superblock_edit.h"
#include "libfs/recovery/finish_attribute.h"
#include "libfs/recovery/finish_exchange.h"
#include "libfs/space/refcount.h"

namespace xdax {
namespace {

// Runs of blocks with the same count that one transaction changes.
constexpr unsigned kRunsAtATime = 128;

LogRegion region_of(const auto& value) {
  const ByteSpan bytes = std::as_bytes(std::span(&value, 1));
  return {bytes.begin(), bytes.end()};
}

std::uint64_t id_of(const LogItem& item) { return view<le64>(item.regions[0], offsetof(ExtentsLogFormat, id)); }

template <class Each>
std::vector<Each> extents_of(const LogItem& item) {
  const std::uint32_t count = view<ExtentsLogFormat>(item.regions[0]).nextents;
  const auto extents = view_array<Each>(item.regions[0], sizeof(ExtentsLogFormat), count);
  return {extents.begin(), extents.end()};
}

// Two layouts exist; which it is, the length says.
std::vector<Extent64> extents_to_free(const LogItem& item) {
  const std::size_t count = view<ExtentsLogFormat>(item.regions[0]).nextents;
  const std::size_t stride = (item.regions[0].size() - sizeof(ExtentsLogFormat)) / count;
  std::vector<Extent64> extents;
  for (std::size_t i = 0; i < count; ++i) {
    const auto& each = view<LoggedExtent32>(item.regions[0], sizeof(ExtentsLogFormat) + i * stride);
    extents.push_back({.start = FsBlock(each.start), .length_blocks = each.len});
  }
  return extents;
}

LogItem done_item(LogItemType type, std::uint64_t id) {
  DoneLogFormat done{};
  done.type = static_cast<std::uint16_t>(type);
  done.size = std::uint16_t{1};
  done.id = id;
  return {.type = type, .regions = {region_of(done)}};
}

// An item that lists extents: an intent, or an EFD, which repeats those of its intent.
template <class Each>
LogItem item_of(LogItemType type, std::uint64_t id, const std::vector<Each>& extents) {
  ExtentsLogFormat format{};
  format.type = static_cast<std::uint16_t>(type);
  format.size = std::uint16_t{1};
  format.nextents = static_cast<std::uint32_t>(extents.size());
  format.id = id;
  LogRegion region = region_of(format);
  for (const Each& extent : extents) {
    const LogRegion bytes = region_of(extent);
    region.insert(region.end(), bytes.begin(), bytes.end());
  }
  return {.type = type, .regions = {std::move(region)}};
}

ExtentOwner owner_of(const LoggedMapping& mapping, bool unwritten) {
  using namespace intent_flags;
  const std::uint32_t flags = mapping.flags;
  if (rmap::is_special(mapping.owner)) return {.owner = mapping.owner, .offset = 0};
  return {.owner = mapping.owner,
          .offset = ((flags & kRmapBmapBlock) != 0 ? rmap::kBmapBlock : mapping.startoff.get()) |
                    ((flags & kRmapAttrFork) != 0 ? rmap::kAttrFork : 0) | (unwritten ? rmap::kUnwritten : 0)};
}

void change_mapping(Group& group, const GroupExtent& extent, const LoggedMapping& mapping) {
  const bool unwritten = (mapping.flags & intent_flags::kRmapUnwritten) != 0;
  const ExtentOwner owner = owner_of(mapping, unwritten);
  FreeSpace space(group);
  space.fill_list();
  switch (mapping.flags & intent_flags::kTypeMask) {
    case intent_flags::kRmapMap:
    case intent_flags::kRmapMapShared:
    case intent_flags::kRmapAlloc:
      ReverseMap(group).add(extent, owner);
      return;
    case intent_flags::kRmapUnmap:
    case intent_flags::kRmapUnmapShared:
    case intent_flags::kRmapFree:
      ReverseMap(group).remove(extent, owner);
      return;
    default:  // a conversion, which names the state that is to be
      ReverseMap(group).remove(extent, owner_of(mapping, !unwritten));
      space.fill_list();
      ReverseMap(group).add(extent, owner);
      return;
  }
}

// Changes the first blocks of `extent`, as many as have one count; returns how many.
std::uint32_t change_first_run(Group& group, const GroupExtent& extent, std::uint32_t operation) {
  FreeSpace space(group);
  space.fill_list();
  Refcounts refcounts(group);
  if (operation == intent_flags::kRefcountAllocCow || operation == intent_flags::kRefcountFreeCow) {
    operation == intent_flags::kRefcountAllocCow ? refcounts.stage(extent) : refcounts.unstage(extent);
    return extent.length_blocks;
  }
  const GroupExtent run{.start = extent.start, .length_blocks = refcounts.run_at(extent).length_blocks};
  if (operation == intent_flags::kRefcountIncrease) {
    refcounts.increase(run);
    return run.length_blocks;
  }
  // The reverse map is told by intents of its own.
  for (const GroupExtent& unowned : refcounts.decrease(run)) {
    space.free(unowned, {.owner = rmap::kOwnerNull, .offset = 0});
  }
  return run.length_blocks;
}

}  // namespace

Finisher::Finisher(Journal& journal, std::vector<LogItem> intents) : journal_(journal), intents_(std::move(intents)) {
  for (const LogItem& item : intents_) ids_.insert(id_of(item));
}

bool Finisher::needed() const {
  if (!intents_.empty()) return true;
  Transaction transaction(journal_);
  for (std::uint32_t i = 0; i < journal_.geometry().ag_count; ++i) {
    Group group(transaction, AgNumber(i));
    if (first_unlinked(transaction, AgNumber(i))) return true;
    if (journal_.geometry().features.reflink() && Refcounts(group).next_staged(AgBlock(0))) return true;
  }
  return false;
}

FinishCounts Finisher::run() {
  for (const LogItem& item : intents_) intent(item);
  counts_.intents = intents_;
  // What follows needs no log to be found again: it is in the group headers and trees.
  journal_.release_log();
  for (std::uint32_t i = 0; i < journal_.geometry().ag_count; ++i) {
    free_staged(AgNumber(i));
    counts_.inodes += free_unlinked(journal_, AgNumber(i));
  }
  // What was freed belonged to somebody.
  Transaction transaction(journal_);
  if (have_quota_counted(transaction)) transaction.commit();
  return std::move(counts_);
}

void Finisher::intent(const LogItem& item) {
  switch (item.type) {
    case LogItemType::kEfi:
      return free_extents(item);
    case LogItemType::kRui:
      return change_reverse_map(item);
    case LogItemType::kCui:
      return change_refcounts(item);
    case LogItemType::kBui:
      return change_extent_maps(item);
    case LogItemType::kAttri:
      return change_attribute(item);
    default:
      XDAX_ASSERT(item.type == LogItemType::kXmi);
      return exchange(item);
  }
}

// Who had the blocks is not logged. Where the reverse map was told by an intent of its own it says nothing any more;
// blocks of trees are still in it.
void Finisher::free_extents(const LogItem& item) {
  Transaction transaction(journal_);
  std::vector<LoggedExtent> freed;
  for (const Extent64& extent : extents_to_free(item)) {
    Allocator(transaction).free(extent, {.owner = rmap::kOwnerUnknown, .offset = 0});
    LoggedExtent& logged = freed.emplace_back(LoggedExtent{});
    logged.start = extent.start.value();
    logged.len = extent.length_blocks;
  }
  transaction.note(item_of(LogItemType::kEfd, id_of(item), freed));
  transaction.commit();
}

void Finisher::change_reverse_map(const LogItem& item) {
  const Geometry& geometry = journal_.geometry();
  Transaction transaction(journal_);
  for (const LoggedMapping& mapping : extents_of<LoggedMapping>(item)) {
    const FsBlock start{mapping.startblock};
    Group group(transaction, geometry.ag_of(start));
    change_mapping(group, {.start = geometry.ag_block_of(start), .length_blocks = mapping.len}, mapping);
  }
  transaction.note(done_item(LogItemType::kRud, id_of(item)));
  transaction.commit();
}

void Finisher::change_refcounts(const LogItem& item) {
  const Geometry& geometry = journal_.geometry();
  std::vector<LoggedRefcount> left = extents_of<LoggedRefcount>(item);
  std::uint64_t id = id_of(item);
  while (!left.empty()) {
    Transaction transaction(journal_);
    for (unsigned runs = 0; runs < kRunsAtATime && !left.empty(); ++runs) {
      LoggedRefcount& first = left.front();
      const FsBlock start{first.startblock};
      Group group(transaction, geometry.ag_of(start));
      const std::uint32_t changed =
          change_first_run(group, {.start = geometry.ag_block_of(start), .length_blocks = first.len},
                           first.flags & intent_flags::kTypeMask);
      first.startblock = (start + changed).value();
      first.len = first.len - changed;
      if (first.len == 0) left.erase(left.begin());
    }
    transaction.note(done_item(LogItemType::kCud, id));
    if (!left.empty()) {
      id = new_id();
      transaction.note(item_of(LogItemType::kCui, id, left));
    }
    transaction.commit();
  }
}

// The reverse map's part is announced when this is done, so that it is still to be done too.
void Finisher::change_extent_maps(const LogItem& item) {
  Transaction transaction(journal_);
  for (const LoggedMapping& mapping : extents_of<LoggedMapping>(item)) {
    const InodeEdit inode(transaction, InodeNumber(mapping.owner));
    ForkWriter fork(inode, (mapping.flags & intent_flags::kBmapAttrFork) != 0 ? Fork::kAttr : Fork::kData);
    if ((mapping.flags & intent_flags::kTypeMask) == intent_flags::kBmapMap) {
      add_mapping(fork, {.file_block = FileBlock(mapping.startoff),
                         .start = FsBlock(mapping.startblock),
                         .length_blocks = mapping.len,
                         .unwritten = (mapping.flags & intent_flags::kBmapUnwritten) != 0});
    } else {
      remove_mappings(fork, FileBlock(mapping.startoff), mapping.len);
    }
  }
  transaction.note(done_item(LogItemType::kBud, id_of(item)));
  transaction.commit();
}

void Finisher::change_attribute(const LogItem& item) {
  Transaction transaction(journal_);
  finish_attribute(transaction, item);
  transaction.note(done_item(LogItemType::kAttrd, id_of(item)));
  transaction.commit();
}

void Finisher::exchange(const LogItem& item) {
  auto left = view<XmiLogFormat>(item.regions[0]);
  for (bool more = true; more;) {
    Transaction transaction(journal_);
    const std::uint64_t id = left.id;
    more = exchange_some(transaction, left);
    transaction.note(done_item(LogItemType::kXmd, id));
    if (more) {
      left.id = new_id();
      transaction.note({.type = LogItemType::kXmi, .regions = {region_of(left)}});
    }
    transaction.commit();
  }
}

// The files they were staged for are forgotten with the memory of the machine.
void Finisher::free_staged(AgNumber ag) {
  if (!journal_.geometry().features.reflink()) return;
  for (;;) {
    Transaction transaction(journal_);
    Group group(transaction, ag);
    const auto extent = Refcounts(group).next_staged(AgBlock(0));
    if (!extent) return;
    FreeSpace space(group);
    space.fill_list();
    Refcounts(group).unstage(*extent);
    space.free(*extent, {.owner = rmap::kOwnerCow, .offset = 0});
    transaction.commit();
    ++counts_.staged_extents;
  }
}

std::uint64_t Finisher::new_id() {
  std::uint64_t id = 1;
  while (!ids_.insert(id).second) ++id;
  return id;
}

}  // namespace xdax
