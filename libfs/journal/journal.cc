#include "libfs/journal/journal.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "libfs/base/error.h"
#include "libfs/format/superblock.h"
#include "libfs/journal/superblock_edit.h"
#include "libfs/journal/transaction.h"

namespace xdax {
namespace {

// A checkpoint is written before it may take more than this part of the log, so that one more transaction always fits
// beside it and beside the one before.
constexpr std::uint64_t kCheckpointPart = 8;
constexpr std::uint64_t kMaxCheckpointBytes = 8u << 20;
constexpr std::uint64_t kMaxBlocksHeld = 16384;

ByteSpan bytes_of(const Version& version) { return version == nullptr ? ByteSpan() : ByteSpan(*version); }

}  // namespace

Journal::Journal(Device& device, const Geometry& geometry, const LogSummary& summary, const SummaryCounters& counters)
    : device_(device),
      geometry_(geometry),
      cache_(device, geometry),
      log_(device, geometry, *summary.head),
      counters_(counters) {
  XDAX_ASSERT(summary.state == LogState::kClean);
}

Journal::Journal(Device& device, const Geometry& geometry, const LogSummary& summary, const LogWalkResult& walk,
                 const SummaryCounters& counters)
    : device_(device),
      geometry_(geometry),
      cache_(device, geometry),
      log_(device, geometry, *summary.head, walk),
      counters_(counters),
      kept_tail_(summary.tail),
      clear_ahead_(true) {
  XDAX_ASSERT(summary.state == LogState::kDirty && summary.tail && !walk.damage);
}

void Journal::release_log() {
  const std::lock_guard lock(turn_);
  checkpoint();
  kept_tail_.reset();
}

void Journal::begin() {
  turn_.lock();
  try {
    XDAX_ASSERT(!closed_);
    const std::uint64_t limit =
        std::min({log_.log_blocks() / kCheckpointPart, kMaxCheckpointBytes / kBasicBlockBytes, checkpoint_limit_});
    if (log_.blocks_for(open_.regions, open_.bytes) > limit) checkpoint();
  } catch (...) {
    turn_.unlock();
    throw;
  }
}

void Journal::end() { turn_.unlock(); }

void Journal::sync() {
  const std::lock_guard lock(turn_);
  checkpoint();
}

void Journal::write_back() {
  const std::lock_guard lock(turn_);
  checkpoint();
  write_home();
  barrier();
}

void Journal::close() {
  if (closed_) return;
  {
    Transaction transaction(*this);
    Superblock& superblock = change_superblock(transaction);
    superblock.icount = counters_.inodes;
    superblock.ifree = counters_.free_inodes;
    superblock.fdblocks = counters_.free_blocks;
    transaction.commit();
  }
  const std::lock_guard lock(turn_);
  checkpoint();
  write_home();
  barrier();
  log_.write_unmount(clear_ahead_);
  device_.persist();
  closed_ = true;
}

void Journal::barrier() {
  device_.persist();
  data_pending_ = false;
  on_the_way_.clear();
}

Lsn Journal::tail() const {
  std::optional<Lsn> oldest;
  const auto take = [&](Lsn lsn) { oldest = oldest ? std::min(*oldest, lsn) : lsn; };
  for (const auto& [byte, block] : blocks_) {
    if (block.since) take(*block.since);
  }
  if (kept_tail_) take(*kept_tail_);
  for (const Lsn& lsn : held_) take(lsn);
  for (const Lsn& lsn : on_the_way_) take(lsn);
  return oldest.value_or(log_.head());
}

// What a commit adds to the open checkpoint, at most. A block that is in it already is logged once, as it is last.
Journal::Amount Journal::amount_of(const Commit& commit) const {
  Amount amount;
  for (const Commit::Block& block : commit.blocks) {
    const auto found = blocks_.find(block.place.byte);
    if (found != blocks_.end() && found->second.open) continue;
    amount.bytes += change_bytes(block.place.length_bytes);
    amount.regions += change_regions(block.place.length_bytes);
  }
  amount.regions += commit.new_inodes.size();
  amount.bytes += commit.new_inodes.size() * sizeof(IcreateLog);
  for (const LogItem& note : commit.notes) {
    amount.regions += note.regions.size();
    for (const LogRegion& region : note.regions) amount.bytes += region.size();
  }
  return amount;
}

void Journal::commit(Commit commit) {
  const Amount amount = amount_of(commit);
  // Beside the checkpoint before, which may not be home.
  if (log_.blocks_for(open_.regions + amount.regions, open_.bytes + amount.bytes) > log_.log_blocks() / 2) {
    throw RefusalError(Errc::kNoSpace, fmt::format("{}: the log is too small for a change of {} blocks", device_.name(),
                                                   commit.blocks.size()));
  }
  open_.regions += amount.regions;
  open_.bytes += amount.bytes;
  std::vector<PublishedBlock> published;
  for (Commit::Block& change : commit.blocks) {
    published.push_back({.place = change.place, .identity = change.identity, .version = change.after});
    const auto found = blocks_.find(change.place.byte);
    if (change.after == nullptr) {
      if (found != blocks_.end()) {
        if (found->second.since) held_.push_back(*found->second.since);
        blocks_.erase(found);
      }
      given_up_.insert(change.place);
      continue;
    }
    const bool again = given_up_.erase(change.place) != 0;
    if (found == blocks_.end()) {
      blocks_.emplace(change.place.byte, Block{.place = change.place,
                                               .identity = change.identity,
                                               .logged = again ? nullptr : std::move(change.before),
                                               .current = std::move(change.after),
                                               .open = true,
                                               .since = {}});
      continue;
    }
    Block& block = found->second;
    XDAX_ASSERT(block.place == change.place);
    block.identity = change.identity;
    block.current = std::move(change.after);
    block.open = true;
  }
  new_inodes_.insert(new_inodes_.end(), commit.new_inodes.begin(), commit.new_inodes.end());
  notes_.insert(notes_.end(), std::make_move_iterator(commit.notes.begin()),
                std::make_move_iterator(commit.notes.end()));
  for (const auto& [start, length] : commit.freed) busy_.insert_or_assign(start.value(), length);
  counters_.inodes += static_cast<std::uint64_t>(commit.counters.inodes);
  counters_.free_inodes += static_cast<std::uint64_t>(commit.counters.free_inodes);
  counters_.free_blocks += static_cast<std::uint64_t>(commit.counters.free_blocks);
  cache_.publish(published);
}

void Journal::set_usable(std::uint64_t usable_blocks, std::uint64_t pool_blocks) {
  usable_less_free_ = static_cast<std::int64_t>(usable_blocks) - static_cast<std::int64_t>(counters_.free_blocks);
  pool_blocks_ = pool_blocks;
}

std::optional<std::uint64_t> Journal::usable_blocks(const SummaryCounters& now) const {
  if (!usable_less_free_) return std::nullopt;
  const std::int64_t left =
      static_cast<std::int64_t>(now.free_blocks) + *usable_less_free_ - static_cast<std::int64_t>(pool_blocks_);
  return left > 0 ? static_cast<std::uint64_t>(left) : 0;
}

std::vector<LogItem> Journal::open_items() const {
  std::vector<LogItem> items;
  for (const NewInodes& inodes : new_inodes_) items.push_back(new_inodes_item(geometry_, inodes));
  for (const auto& [byte, block] : blocks_) {
    if (!block.open) continue;
    append_change(
        items, geometry_,
        {.place = block.place, .kind = block.identity.kind, .before = bytes_of(block.logged), .after = *block.current});
  }
  for (const BlockPlace& place : given_up_) append_given_up(items, place);
  items.insert(items.end(), notes_.begin(), notes_.end());
  return items;
}

void Journal::checkpoint() {
  const std::vector<LogItem> items = open_items();
  if (data_pending_ || (!items.empty() && !on_the_way_.empty())) barrier();
  if (items.empty()) return;
  std::uint64_t regions = 0;
  std::uint64_t bytes = 0;
  for (const LogItem& item : items) {
    regions += item.regions.size();
    for (const LogRegion& region : item.regions) bytes += region.size();
  }
  XDAX_ASSERT(regions <= open_.regions && bytes <= open_.bytes);
  const std::uint64_t needed = log_.blocks_for(regions, bytes);
  if (log_.used_blocks(tail()) + needed >= log_.log_blocks()) {
    write_home();
    barrier();
  }
  if (log_.used_blocks(tail()) + needed >= log_.log_blocks()) {
    throw RefusalError(Errc::kNoSpace,
                       fmt::format("{}: the log is too small for {} bytes of changes", device_.name(), bytes));
  }
  if (clear_ahead_) log_.clear_ahead(tail());
  clear_ahead_ = false;
  const Lsn lsn = log_.head();
  log_.write_transaction(items, tail());
  make_durable(lsn);
  if (log_.used_blocks(tail()) > log_.log_blocks() / 2 || blocks_.size() > kMaxBlocksHeld) write_home();
}

void Journal::make_durable(Lsn lsn) {
  on_the_way_.clear();  // the barrier behind the log's records was one for them too
  std::vector<PublishedBlock> published;
  for (auto& [byte, block] : blocks_) {
    if (!block.open) continue;
    const auto version = std::make_shared<const std::vector<std::byte>>(stamped(
        geometry_,
        {.place = block.place, .kind = block.identity.kind, .before = bytes_of(block.logged), .after = *block.current},
        lsn));
    block.logged = version;
    block.current = version;
    block.open = false;
    if (!block.since) block.since = lsn;
    published.push_back({.place = block.place, .identity = block.identity, .version = version});
  }
  cache_.publish(published);
  given_up_.clear();
  held_.clear();
  new_inodes_.clear();
  notes_.clear();
  busy_.clear();
  open_ = {};
}

void Journal::write_home() {
  std::vector<WriteRequest> requests;
  std::vector<Block*> blocks;
  for (auto& [byte, block] : blocks_) {
    if (!block.since) continue;
    requests.push_back({.offset_bytes = byte, .buffer = *block.logged, .error = {}});
    blocks.push_back(&block);
  }
  device_.write_batch(requests);
  std::error_code error;
  std::uint64_t failed = 0;
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    if (requests[i].error) {
      error = requests[i].error;
      failed = requests[i].offset_bytes;
      continue;
    }
    Block& block = *blocks[i];
    on_the_way_.push_back(*block.since);
    block.since.reset();
    if (block.open) continue;
    cache_.mark_home(block.place, block.current);
    blocks_.erase(block.place.byte);
  }
  if (error) {
    throw IoError(Errc::kWriteFailed,
                  fmt::format("{}: a block at byte {} could not be written home: {}; it is still in "
                              "the log",
                              device_.name(), failed, error.message()));
  }
}

std::vector<std::pair<FsBlock, std::uint32_t>> Journal::not_busy(FsBlock start, std::uint32_t length) const {
  std::vector<std::pair<FsBlock, std::uint32_t>> parts;
  std::uint64_t at = start.value();
  const std::uint64_t end = at + length;
  auto busy = busy_.upper_bound(at);
  if (busy != busy_.begin()) --busy;
  for (; busy != busy_.end() && busy->first < end; ++busy) {
    const std::uint64_t busy_end = busy->first + busy->second;
    if (busy_end <= at) continue;
    if (busy->first > at) parts.emplace_back(FsBlock(at), static_cast<std::uint32_t>(busy->first - at));
    at = busy_end;
  }
  if (at < end) parts.emplace_back(FsBlock(at), static_cast<std::uint32_t>(end - at));
  return parts;
}

std::unique_ptr<Journal> open_journal(Device& device, const Geometry& geometry) {
  const LogSummary summary = read_log_summary(device, LogPlace::of(geometry));
  if (summary.state != LogState::kClean) {
    throw RefusalError(Errc::kNotSupported,
                       fmt::format("{}: its log is {}: replay it first, with xdax_repair --replay-only or by a mount",
                                   device.name(), to_string(summary.state)));
  }
  std::vector<std::byte> sector(geometry.sector_bytes);
  device.read(0, sector);
  if (const Flaws flaws = verify_superblock(sector, {.ag = AgNumber(0)}); !flaws.empty()) {
    throw CorruptionError(Errc::kBadStructure, fmt::format("{}: superblock: {} ought to be {}", device.name(),
                                                           flaws[0].field, flaws[0].rule));
  }
  const auto& superblock = view<Superblock>(sector);
  return std::make_unique<Journal>(
      device, geometry, summary,
      SummaryCounters{
          .inodes = superblock.icount, .free_inodes = superblock.ifree, .free_blocks = superblock.fdblocks});
}

}  // namespace xdax
