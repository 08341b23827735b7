#include "fsck/reverse_map.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <vector>

#include "libfs/format/btree_records.h"

namespace xdax::fsck {
namespace {

// Counts how many mappings cover each block, from mappings in the order of their starts, and keeps what two or more
// cover.
class SharedSweep {
 public:
  void add(std::uint32_t start, std::uint64_t end) {
    while (!ends_.empty() && ends_.front() <= start) retire();
    emit_until(start);
    ends_.push_back(end);
    std::push_heap(ends_.begin(), ends_.end(), std::greater<>());
  }
  const std::vector<Interval>& finish() {
    while (!ends_.empty()) retire();
    return shared_;
  }

 private:
  void retire() {
    emit_until(ends_.front());
    std::pop_heap(ends_.begin(), ends_.end(), std::greater<>());
    ends_.pop_back();
  }
  void emit_until(std::uint64_t to) {
    if (ends_.size() >= 2 && to > at_) {
      const std::uint64_t count = std::min<std::uint64_t>(ends_.size(), refcount::kMaxCount);
      append_merged(shared_, {static_cast<std::uint32_t>(at_), static_cast<std::uint32_t>(to - at_), count});
    }
    at_ = to;
  }

  std::vector<std::uint64_t> ends_;  // a heap, the nearest end first
  std::uint64_t at_ = 0;
  std::vector<Interval> shared_;
};

// Whether [start, end) meets an interval of a sorted list, for starts that only grow.
class Cursor {
 public:
  explicit Cursor(std::span<const Interval> list) : list_(list) {}

  template <class Function>
  void for_each_overlap(std::uint64_t start, std::uint64_t end, Function&& function) {
    while (next_ < list_.size() && list_[next_].end() <= start) ++next_;
    for (std::size_t i = next_; i < list_.size() && list_[i].start < end; ++i) function(list_[i]);
  }

 private:
  std::span<const Interval> list_;
  std::size_t next_ = 0;
};

class Comparison {
 public:
  Comparison(GroupContext& context, const ReverseMapPeers& peers)
      : context_(context),
        peers_(peers),
        metadata_(peers.claims_known ? context.claims.reverse_map_view() : std::vector<Interval>()),
        free_(peers.free_space != nullptr ? std::span<const Interval>(peers.free_space->extents)
                                          : std::span<const Interval>()),
        free_under_record_(free_),
        free_in_gap_(free_),
        metadata_under_record_(metadata_),
        metadata_in_gap_(metadata_) {}

  void record(const RmapRecord& on_disk) {
    const std::uint64_t owner = on_disk.owner;
    const Record now{on_disk.startblock, std::uint64_t{on_disk.startblock} + on_disk.blockcount, owner, on_disk.offset};
    check_overlap(now);
    check_merged(now);
    if (now.start > covered_until_) gap(covered_until_, now.start);
    covered_until_ = std::max(covered_until_, now.end);
    free_under_record_.for_each_overlap(now.start, now.end, [&](const Interval& free) {
      report(Problem::kRmapFreeSpace, now.start, now.end, free, fmt::format("to {}", describe_owner(owner)));
    });
    if (rmap::is_special(owner)) {
      append_merged(special_, {on_disk.startblock, on_disk.blockcount, owner});
    } else {
      metadata_under_record_.for_each_overlap(now.start, now.end, [&](const Interval& claim) { taken(now, claim); });
      if (now.shareable()) sweep_.add(on_disk.startblock, now.end);
      if (peers_.hash != nullptr) {
        *peers_.owned += peers_.hash->owned({on_disk.startblock, on_disk.blockcount, owner, on_disk.offset});
      }
    }
    before_ = now;
  }

  // Everything that needs all records. Only for a tree that was read as a whole.
  void finish() {
    const std::uint32_t length = context_.geometry.ag_length_blocks(context_.ag);
    if (covered_until_ < length) gap(covered_until_, length);
    if (peers_.claims_known) compare_metadata();
    if (peers_.refcounts != nullptr) compare_shared();
  }

 private:
  struct Record {
    std::uint64_t start = 0;
    std::uint64_t end = 0;
    std::uint64_t owner = 0;
    std::uint64_t offset = 0;

    [[nodiscard]] bool shareable() const {
      return !rmap::is_special(owner) && (offset & (rmap::kAttrFork | rmap::kBmapBlock)) == 0;
    }
    [[nodiscard]] bool continues(const Record& previous) const {
      if (start != previous.end || owner != previous.owner || end - previous.start > 0xffffffffu) return false;
      if (rmap::is_special(owner)) return true;
      constexpr std::uint64_t kFlags = rmap::kAttrFork | rmap::kBmapBlock | rmap::kUnwritten;
      if ((offset & kFlags) != (previous.offset & kFlags)) return false;
      if ((offset & rmap::kBmapBlock) != 0) return true;
      return (offset & rmap::kOffsetMask) == (previous.offset & rmap::kOffsetMask) + (previous.end - previous.start);
    }
  };

  Finding place(std::uint64_t start, std::uint64_t end) const {
    Finding finding = context_.place("rmapbt", AgBlock(static_cast<std::uint32_t>(start)));
    finding.length_blocks = static_cast<std::uint32_t>(end - start);
    return finding;
  }

  // Reports the part of [start, end) that lies in `other`.
  void report(Problem problem, std::uint64_t start, std::uint64_t end, const Interval& other, std::string detail) {
    Finding finding = place(std::max<std::uint64_t>(start, other.start), std::min(end, other.end()));
    finding.detail = std::move(detail);
    context_.add(problem, std::move(finding));
  }

  // A record's verifier compares it with the one before it; an overlap may be with one long before.
  void check_overlap(const Record& now) {
    const bool sharing = context_.geometry.features.reflink() && now.shareable();
    const std::uint64_t limit = sharing ? exclusive_until_ : used_until_;
    if (now.start < limit && (!before_ || before_->end <= now.start || (sharing && before_->shareable()))) {
      Finding finding = place(now.start, now.end);
      finding.detail = fmt::format("overlaps an earlier mapping that ends at block {}", limit);
      context_.add(Problem::kRmapOrder, std::move(finding));
    }
    used_until_ = std::max(used_until_, now.end);
    if (!sharing) exclusive_until_ = std::max(exclusive_until_, now.end);
  }

  void check_merged(const Record& now) {
    if (!before_ || !now.continues(*before_)) return;
    Finding finding = place(now.start, now.end);
    finding.detail = fmt::format("it continues the mapping before it, of {}", describe_owner(now.owner));
    context_.add(Problem::kRmapUnmerged, std::move(finding));
  }

  // A file's mapping over blocks of metadata.
  void taken(const Record& now, const Interval& claim) {
    report(Problem::kRmapWrongOwner, now.start, now.end, claim,
           fmt::format("to {}; they belong to {}", describe_owner(now.owner), describe_owner(claim.value)));
    const auto start = static_cast<std::uint32_t>(std::max<std::uint64_t>(now.start, claim.start));
    const std::uint64_t taken_until = taken_.empty() ? 0 : taken_.back().end();
    const std::uint64_t end = std::min(now.end, claim.end());
    const std::uint64_t from = std::max<std::uint64_t>(start, taken_until);
    if (from < end) taken_.push_back({static_cast<std::uint32_t>(from), static_cast<std::uint32_t>(end - from), 1});
  }

  // Blocks that no mapping covers: free, or else somebody's who is missing from the map, or nobody's.
  void gap(std::uint64_t start, std::uint64_t end) {
    if (peers_.free_space == nullptr || !peers_.claims_known) return;
    std::uint64_t at = start;
    const auto until = [&](std::uint64_t to) {
      std::uint64_t from = at;
      metadata_in_gap_.for_each_overlap(at, to, [&](const Interval& claim) {
        leak(from, claim.start);
        from = std::max(from, claim.end());
      });
      leak(from, to);
    };
    free_in_gap_.for_each_overlap(start, end, [&](const Interval& free) {
      if (free.start > at) until(free.start);
      at = std::max(at, free.end());
    });
    if (at < end) until(end);
  }

  void leak(std::uint64_t start, std::uint64_t end) {
    if (start < end) context_.add(Problem::kRmapLeak, place(start, end));
  }

  void compare_metadata() {
    Cursor taken(taken_);
    compare_intervals(
        special_, metadata_,
        [&](std::uint32_t start, std::uint32_t length, std::uint64_t mapped, std::uint64_t claimed) {
          const std::uint64_t end = std::uint64_t{start} + length;
          if (mapped == rmap::kOwnerCow && claimed == 0) {
            context_.add(Problem::kRefcountCowMissing, place(start, end));
          } else if (claimed == rmap::kOwnerCow && mapped == 0) {
            context_.add(Problem::kRefcountCowStale, place(start, end));
          } else if (mapped == 0) {
            bool known = false;
            taken.for_each_overlap(start, end, [&](const Interval&) { known = true; });
            if (known) return;
            Finding finding = place(start, end);
            finding.detail = fmt::format("they belong to {}", describe_owner(claimed));
            context_.add(Problem::kRmapMissing, std::move(finding));
          } else {
            Finding finding = place(start, end);
            finding.detail =
                claimed == 0 ? fmt::format("{} does not have them", describe_owner(mapped))
                             : fmt::format("to {}; they belong to {}", describe_owner(mapped), describe_owner(claimed));
            context_.add(claimed == 0 ? Problem::kRmapStale : Problem::kRmapWrongOwner, std::move(finding));
          }
        });
  }

  void compare_shared() {
    compare_intervals(peers_.refcounts->shared, sweep_.finish(),
                      [&](std::uint32_t start, std::uint32_t length, std::uint64_t stored, std::uint64_t counted) {
                        Finding finding = context_.place("refcountbt", AgBlock(start));
                        finding.length_blocks = length;
                        finding.found = stored;
                        finding.expected = counted;
                        context_.add(stored == 0    ? Problem::kRefcountMissing
                                     : counted == 0 ? Problem::kRefcountStale
                                                    : Problem::kRefcountWrong,
                                     std::move(finding));
                      });
  }

  GroupContext& context_;
  const ReverseMapPeers& peers_;
  std::vector<Interval> metadata_;  // who owns what, by everything but the reverse map
  std::span<const Interval> free_;
  Cursor free_under_record_;
  Cursor free_in_gap_;
  Cursor metadata_under_record_;
  Cursor metadata_in_gap_;
  std::vector<Interval> special_;  // what the reverse map says of metadata
  std::vector<Interval> taken_;    // metadata that the reverse map gives to files
  SharedSweep sweep_;
  std::optional<Record> before_;
  std::uint64_t covered_until_ = 0;
  std::uint64_t used_until_ = 0;       // the furthest end so far
  std::uint64_t exclusive_until_ = 0;  // the same of mappings that cannot be shared
};

}  // namespace

void check_reverse_map(GroupContext& context, TreeWalk& tree, const ReverseMapPeers& peers) {
  Comparison comparison(context, peers);
  tree.walk_leaves([&](ByteSpan records, std::uint32_t count) {
    // Once a leaf is missing, what the others leave uncovered says nothing.
    if (!tree.intact()) return;
    for (const RmapRecord& record : view_array<RmapRecord>(records, 0, count)) comparison.record(record);
  });
  if (tree.intact()) comparison.finish();
}

}  // namespace xdax::fsck
