#include "libfs/journal/log_walk.h"

#include <fmt/format.h>

#include <set>
#include <unordered_map>
#include <utility>

#include "libfs/journal/log_ring.h"

namespace xdax {
namespace {

struct Damaged {
  std::string what;
};

std::string first_of(const Flaws& flaws) { return fmt::format("{}: ought to be {}", flaws[0].field, flaws[0].rule); }

// A transaction whose commit has not been met.
struct Open {
  Lsn lsn;
  std::vector<LogRegion> regions;
  bool continues = false;  ///< the last region goes on
};

class Walk {
 public:
  Walk(Device& device, const LogPlace& place, const std::function<void(const LogTransaction&)>& use)
      : ring_(device, place), use_(use) {}

  LogWalkResult run(const Lsn& tail, const Lsn& head) {
    Lsn at = tail;
    try {
      for (std::uint64_t left = ring_.distance(tail, head); left > 0;) {
        const std::uint32_t blocks = record(at);
        if (blocks > left) throw Damaged{"it reaches past the head"};
        left -= blocks;
        at = ring_.after(at, blocks);
        ++result_.records;
      }
    } catch (const Damaged& damaged) {
      result_.damage = LogDamage{.record = at, .what = damaged.what};
    }
    result_.uncommitted = open_.size();
    result_.free_tid = free_tid();
    return result_;
  }

 private:
  // In the middle of the greatest gap between those in use.
  [[nodiscard]] std::uint32_t free_tid() const {
    std::set<std::uint64_t> used;
    for (const auto& [tid, open] : open_) used.insert(tid);
    std::uint64_t before = 0;
    std::uint64_t widest = 0;
    std::uint64_t middle = 1;
    used.insert(std::uint64_t{1} << 32);
    for (const std::uint64_t tid : used) {
      if (tid - before > widest) {
        widest = tid - before;
        middle = before + widest / 2;
      }
      before = tid;
    }
    return static_cast<std::uint32_t>(middle);
  }

  // Takes one record apart; returns its blocks.
  std::uint32_t record(const Lsn& at) {
    const ByteSpan first = ring_.read(at.block, 1);
    if (const Flaws flaws = verify_log_record_header(first, ring_.expectation(at.block)); !flaws.empty()) {
      throw Damaged{first_of(flaws)};
    }
    const auto header = view<LogRecordHeader>(first);
    if (header.blank() || Lsn::decode(header.lsn) != at) throw Damaged{"there is no record"};
    if (header.fmt != log_formats::kLinuxLittle) throw Damaged{"written by a machine of another byte order"};
    if (result_.records == 0) result_.record_bytes = header.size;
    const std::uint32_t header_blocks = log_header_blocks(header.size);
    const std::uint32_t blocks = header_blocks + header.len / kBasicBlockBytes;
    if (blocks > ring_.blocks()) throw Damaged{"it is longer than the log"};
    const MutableByteSpan bytes = ring_.read(at.block, blocks);
    if (const Flaws flaws = verify_log_record(bytes, ring_.expectation(at.block)); !flaws.empty()) {
      throw Damaged{first_of(flaws)};
    }
    const std::size_t header_bytes = std::size_t{header_blocks} * kBasicBlockBytes;
    const MutableByteSpan data = bytes.subspan(header_bytes, header.len);
    restore_cycle_words(data, bytes.first(header_bytes));
    ByteSpan rest = data;
    for (std::uint32_t i = 0; i < header.num_logops; ++i) {
      if (const Flaws flaws = verify_log_op(rest); !flaws.empty()) throw Damaged{first_of(flaws)};
      const auto& op = view<LogOpHeader>(rest);
      operation(at, op, rest.subspan(sizeof(LogOpHeader), op.len));
      rest = rest.subspan(sizeof(LogOpHeader) + op.len);
    }
    return blocks;
  }

  void operation(const Lsn& at, const LogOpHeader& op, ByteSpan body) {
    if ((op.flags & log_op_flags::kUnmount) != 0) return;
    if ((op.flags & log_op_flags::kStart) != 0) {
      if (!open_.try_emplace(op.tid, Open{.lsn = at, .regions = {}}).second) {
        throw Damaged{fmt::format("transaction {:#x} begins twice", op.tid.get())};
      }
      return;
    }
    const auto found = open_.find(op.tid);
    // What began before the tail is in place.
    if (found == open_.end()) return;
    Open& open = found->second;
    if ((op.flags & log_op_flags::kCommit) != 0) {
      const Open whole = std::move(open);
      open_.erase(found);
      commit(op.tid, whole);
      return;
    }
    if ((op.flags & log_op_flags::kWasContinued) != 0) {
      if (open.regions.empty() || !open.continues) throw Damaged{"an operation continues what did not begin"};
      open.regions.back().insert(open.regions.back().end(), body.begin(), body.end());
    } else {
      open.regions.emplace_back(body.begin(), body.end());
    }
    open.continues = (op.flags & log_op_flags::kContinue) != 0;
  }

  void commit(std::uint32_t tid, const Open& whole) {
    if (whole.continues) throw Damaged{"a transaction is committed in the middle of an operation"};
    const std::vector<LogRegion>& regions = whole.regions;
    if (regions.empty()) return;
    if (const Flaws flaws = verify_transaction_header(regions[0]); !flaws.empty()) throw Damaged{first_of(flaws)};
    LogTransaction transaction{.tid = tid, .lsn = whole.lsn, .items = {}};
    for (std::size_t i = 1; i < regions.size();) {
      const auto type = log_item_type(regions[i]);
      if (!type) throw Damaged{"an item is of no known type"};
      const std::size_t count = view<LogItemHeader>(regions[i]).size;
      if (count == 0 || count > regions.size() - i) throw Damaged{"an item has more regions than there are"};
      const auto begin = regions.begin() + static_cast<std::ptrdiff_t>(i);
      transaction.items.push_back({.type = *type, .regions = {begin, begin + static_cast<std::ptrdiff_t>(count)}});
      i += count;
    }
    ++result_.transactions;
    use_(transaction);
  }

  LogRing ring_;
  const std::function<void(const LogTransaction&)>& use_;
  std::unordered_map<std::uint32_t, Open> open_;
  LogWalkResult result_;
};

}  // namespace

LogWalkResult walk_log(Device& device, const LogPlace& place, const LogSummary& summary,
                       const std::function<void(const LogTransaction&)>& use) {
  XDAX_ASSERT(summary.tail && summary.head);
  return Walk(device, place, use).run(*summary.tail, *summary.head);
}

}  // namespace xdax
