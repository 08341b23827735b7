#include "fsck/extent_compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "fsck/fork_walk.h"
#include "fsck/headers.h"
#include "fsck/inode_scan.h"
#include "fsck/name_scan.h"
#include "fsck/parallel.h"
#include "fsck/refcounts.h"
#include "fsck/tree_walk.h"
#include "libfs/format/btree_records.h"

namespace xdax::fsck {
namespace {

struct Window {
  std::uint32_t start = 0;
  std::uint64_t end = 0;
};

bool by_place(const OwnedExtent& left, const OwnedExtent& right) {
  return std::tie(left.start, left.owner, left.offset) < std::tie(right.start, right.owner, right.offset);
}

bool placed_in_file(const OwnedExtent& extent) { return (extent.offset & rmap::kBmapBlock) == 0; }

// What all blocks of an extent have in common.
bool same_kind(const OwnedExtent& left, const OwnedExtent& right) {
  if (left.owner != right.owner) return false;
  if (!placed_in_file(left) || !placed_in_file(right)) return left.offset == right.offset;
  return (left.offset & ~rmap::kOffsetMask) == (right.offset & ~rmap::kOffsetMask) &&
         left.offset - left.start == right.offset - right.start;
}

// Cuts an extent to a window; false when nothing is left.
bool cut(OwnedExtent& extent, const Window& window) {
  const std::uint64_t end = std::min<std::uint64_t>(std::uint64_t{extent.start} + extent.length, window.end);
  const std::uint32_t start = std::max(extent.start, window.start);
  if (start >= end) return false;
  if (placed_in_file(extent)) extent.offset += start - extent.start;
  extent.start = start;
  extent.length = static_cast<std::uint32_t>(end - start);
  return true;
}

class Collector final : public ExtentSink {
 public:
  Collector(const Geometry& geometry, AgNumber ag, const Window& window, std::vector<OwnedExtent>& list)
      : geometry_(geometry), ag_(ag), window_(window), list_(list) {}

  InodeNumber owner;
  Fork fork = Fork::kData;

  void extent(const Extent& extent) override {
    if (geometry_.ag_of(extent.start) == ag_) keep(owned_extent(geometry_, owner, fork, extent));
  }
  void tree_block(FsBlock block) override {
    if (geometry_.ag_of(block) == ag_) keep(owned_tree_block(geometry_, owner, fork, block));
  }

 private:
  void keep(OwnedExtent extent) {
    if (cut(extent, window_)) list_.push_back(extent);
  }
  const Geometry& geometry_;
  AgNumber ag_;
  Window window_;
  std::vector<OwnedExtent>& list_;
};

std::vector<OwnedExtent> collect(const FileCheck& check, AgNumber ag, const Window& window) {
  const std::vector<ChunkRange> ranges = chunk_ranges(check.inodes);
  std::vector<std::vector<OwnedExtent>> lists(std::max(1u, check.threads));
  run_tasks(check.threads, ranges.size(), [&](std::uint64_t task, std::size_t worker) {
    NoFindings silence;
    FileView file(check.device, check.geometry, silence);
    Collector collector(check.geometry, ag, window, lists[worker]);
    const ChunkRange& range = ranges[static_cast<std::size_t>(task)];
    for_each_known_inode(check, range, [&](InodeNumber ino, ByteSpan bytes) {
      file.ino = ino;
      file.inode = bytes;
      collector.owner = ino;
      collector.fork = Fork::kData;
      ForkWalk(file, Fork::kData, collector).run();
      if (file.core().forkoff == 0) return;
      collector.fork = Fork::kAttr;
      ForkWalk(file, Fork::kAttr, collector).run();
    });
  });
  std::vector<OwnedExtent> all = std::move(lists[0]);
  for (std::size_t i = 1; i < lists.size(); ++i) all.insert(all.end(), lists[i].begin(), lists[i].end());
  std::sort(all.begin(), all.end(), by_place);
  return all;
}

// A group compared once more.
class GroupComparison {
 public:
  GroupComparison(FileCheck& check, AgNumber ag, FindingList& findings) : check_(check), ag_(ag), findings_(findings) {}

  void with_reverse_map(const Window& window) {
    std::vector<OwnedExtent> mapped = reverse_map(window);
    std::vector<OwnedExtent> used = collect(check_, ag_, window);
    // Extents are cut differently on both sides; what is the same is taken away piece by piece.
    std::vector<OwnedExtent> only_mapped = subtract(mapped, used);
    std::vector<OwnedExtent> only_used = subtract(used, mapped);
    for (const OwnedExtent& extent : only_mapped) {
      if (!excused(extent.owner)) report(Problem::kExtentUnowned, extent);
    }
    for (const OwnedExtent& extent : only_used) report(Problem::kExtentUnmapped, extent);
  }

  void with_cover(const Window& window) {
    const std::vector<Interval> expected = expected_cover(window);
    const std::vector<OwnedExtent> used = collect(check_, ag_, window);
    const std::vector<Interval> counted = count_cover(used);
    const bool all_known = !check_.incomplete_extents.any() && check_.inodes.intact();
    compare_intervals(counted, expected,
                      [&](std::uint32_t start, std::uint32_t length, std::uint64_t found, std::uint64_t wanted) {
                        // What could not be read may be what is missing.
                        if (found < wanted && !all_known) return;
                        Problem problem = Problem::kExtentShared;
                        if (found > wanted && wanted <= 1) problem = Problem::kExtentTwice;
                        if (found == 0 && wanted == 1) problem = Problem::kExtentLeaked;
                        Finding finding = place(start, length);
                        finding.found = found;
                        finding.expected = wanted;
                        finding.detail = owners(used, start, length);
                        add(problem, std::move(finding));
                      });
  }

 private:
  void add(Problem problem, Finding finding) {
    finding.problem = problem;
    findings_.add(std::move(finding));
  }

  [[nodiscard]] Finding place(std::uint32_t start, std::uint32_t length) const {
    Finding finding;
    finding.structure = "file";
    finding.group = ag_.value();
    finding.block = start;
    finding.length_blocks = length;
    finding.byte = check_.geometry.byte_of(ag_, AgBlock(start));
    return finding;
  }

  void report(Problem problem, const OwnedExtent& extent) {
    Finding finding = place(extent.start, extent.length);
    finding.inode = extent.owner;
    const bool attribute = (extent.offset & rmap::kAttrFork) != 0;
    if (!placed_in_file(extent)) {
      finding.detail = attribute ? "a block of its attributes' extent map" : "a block of its extent map";
    } else {
      finding.detail =
          fmt::format("{} from block {} of the {}", (extent.offset & rmap::kUnwritten) != 0 ? "unwritten," : "written,",
                      extent.offset & rmap::kOffsetMask, attribute ? "attribute fork" : "file");
    }
    add(problem, std::move(finding));
  }

  // An owner whose extents could not all be seen.
  [[nodiscard]] bool excused(std::uint64_t owner) {
    if (check_.incomplete_extents.contains(owner)) return true;
    const InodeNumber ino(owner);
    if (!check_.geometry.valid_inode(ino)) return false;
    const std::uint64_t ag = check_.geometry.ag_of(ino).value();
    return ag >= check_.inodes.group_count() || !check_.inodes.group(ag).intact;
  }

  [[nodiscard]] std::vector<OwnedExtent> reverse_map(const Window& window) {
    std::vector<OwnedExtent> list;
    NoFindings silence;
    GroupContext context(check_.device, check_.geometry, ag_, silence);
    const GroupHeaders headers = check_headers(context, {.reference = check_.superblock});
    if (!headers.agf) return list;
    TreeWalk tree(context,
                  TreeRoot{BtreeKind::kRmap, AgBlock(headers.agf->roots[Agf::kRmap]), headers.agf->levels[Agf::kRmap]});
    tree.walk_nodes();
    tree.walk_leaves([&](ByteSpan records, std::uint32_t count) {
      for (const RmapRecord& record : view_array<RmapRecord>(records, 0, count)) {
        if (rmap::is_special(record.owner)) continue;
        OwnedExtent extent{record.startblock, record.blockcount, record.owner, record.offset};
        if (cut(extent, window)) list.push_back(extent);
      }
    });
    std::sort(list.begin(), list.end(), by_place);
    return list;
  }

  // The parts of `from` that no extent of the same kind in `taken` has. Both are sorted by start. A part that `from`
  // has twice is left once when `taken` has it once.
  [[nodiscard]] static std::vector<OwnedExtent> subtract(const std::vector<OwnedExtent>& from,
                                                         const std::vector<OwnedExtent>& taken) {
    struct Edge {
      const OwnedExtent* extent;
      std::uint64_t at;
      int weight;
    };
    std::vector<Edge> edges;
    edges.reserve(2 * (from.size() + taken.size()));
    const auto put = [&edges](const OwnedExtent& extent, int weight) {
      edges.push_back({&extent, extent.start, weight});
      edges.push_back({&extent, std::uint64_t{extent.start} + extent.length, -weight});
    };
    for (const OwnedExtent& extent : from) put(extent, 1);
    for (const OwnedExtent& extent : taken) put(extent, -1);
    const auto key = [](const OwnedExtent& extent) {
      const std::uint64_t distance = placed_in_file(extent) ? extent.offset - extent.start : extent.offset;
      return std::make_tuple(extent.owner, distance, placed_in_file(extent));
    };
    std::sort(edges.begin(), edges.end(), [&key](const Edge& left, const Edge& right) {
      const auto a = key(*left.extent);
      const auto b = key(*right.extent);
      return a != b ? a < b : left.at < right.at;
    });
    std::vector<OwnedExtent> rest;
    long depth = 0;
    for (std::size_t i = 0; i + 1 < edges.size(); ++i) {
      depth += edges[i].weight;
      const Edge& next = edges[i + 1];
      if (depth <= 0 || next.at <= edges[i].at || !same_kind(*edges[i].extent, *next.extent)) continue;
      OwnedExtent part = *edges[i].extent;
      if (placed_in_file(part)) part.offset += edges[i].at - part.start;
      part.start = static_cast<std::uint32_t>(edges[i].at);
      part.length = static_cast<std::uint32_t>(next.at - edges[i].at);
      if (!rest.empty() && same_kind(rest.back(), part) &&
          std::uint64_t{rest.back().start} + rest.back().length == part.start) {
        rest.back().length += part.length;
      } else {
        rest.push_back(part);
      }
    }
    std::sort(rest.begin(), rest.end(), by_place);
    return rest;
  }

  [[nodiscard]] std::vector<Interval> expected_cover(const Window& window) {
    GroupReport report(0);
    std::vector<Interval> cover;
    check_group(check_.device, check_.geometry, ag_,
                {.reference = check_.superblock, .log_head = {}, .hash = &check_.hash, .cover = &cover, .step = {}},
                report);
    std::vector<Interval> inside;
    for (const Interval& each : cover) {
      const std::uint64_t end = std::min(each.end(), window.end);
      const std::uint32_t start = std::max(each.start, window.start);
      if (start < end) inside.push_back({start, static_cast<std::uint32_t>(end - start), each.value});
    }
    return inside;
  }

  [[nodiscard]] static std::vector<Interval> count_cover(const std::vector<OwnedExtent>& used) {
    std::vector<std::pair<std::uint64_t, int>> edges;
    edges.reserve(2 * used.size());
    for (const OwnedExtent& extent : used) {
      edges.emplace_back(extent.start, 1);
      edges.emplace_back(std::uint64_t{extent.start} + extent.length, -1);
    }
    std::sort(edges.begin(), edges.end());
    std::vector<Interval> counted;
    std::int64_t depth = 0;
    for (std::size_t i = 0; i + 1 < edges.size(); ++i) {
      depth += edges[i].second;
      const std::uint64_t length = edges[i + 1].first - edges[i].first;
      if (depth <= 0 || length == 0) continue;
      append_merged(counted, {static_cast<std::uint32_t>(edges[i].first), static_cast<std::uint32_t>(length),
                              static_cast<std::uint64_t>(depth)});
    }
    return counted;
  }

  // The first few files that use a range, for the message.
  [[nodiscard]] static std::string owners(const std::vector<OwnedExtent>& used, std::uint32_t start,
                                          std::uint32_t length) {
    constexpr std::size_t kNamed = 4;
    std::vector<std::uint64_t> owners;
    for (const OwnedExtent& extent : used) {
      if (extent.start >= std::uint64_t{start} + length) break;
      if (std::uint64_t{extent.start} + extent.length <= start) continue;
      if (std::find(owners.begin(), owners.end(), extent.owner) == owners.end()) owners.push_back(extent.owner);
      if (owners.size() > kNamed) break;
    }
    std::string text;
    for (std::size_t i = 0; i < std::min(owners.size(), kNamed); ++i) {
      text += fmt::format("{}inode {}", i == 0 ? "" : ", ", owners[i]);
    }
    if (owners.size() > kNamed) text += " and more";
    return text.empty() ? "no file" : text;
  }

  FileCheck& check_;
  AgNumber ag_;
  FindingList& findings_;
};

// Windows of blocks that hold about as many extents as fit the memory allowed.
std::vector<Window> windows(const FileCheck& check, AgNumber ag) {
  // Two lists and their edges.
  constexpr std::uint64_t kBytesPerExtent = 160;
  const std::uint64_t fits = std::max<std::uint64_t>(check.memory_bytes / kBytesPerExtent, 1024);
  // Extents were added to one of the two sums.
  const std::uint64_t extents = check.owned.count(ag.value()) + check.covered.count(ag.value());
  const std::uint64_t count = std::clamp<std::uint64_t>(extents / fits + 1, 1, 1024);
  const std::uint64_t length = check.geometry.ag_length_blocks(ag);
  std::vector<Window> all;
  for (std::uint64_t i = 0; i < count; ++i) {
    all.push_back({static_cast<std::uint32_t>(length * i / count), length * (i + 1) / count});
  }
  return all;
}

}  // namespace

void compare_extents(FileCheck& check, FindingList& findings, SkippedChecks& skipped) {
  for (std::uint64_t i = 0; i < check.inodes.group_count(); ++i) {
    const AgNumber ag(static_cast<std::uint32_t>(i));
    const GroupFacts& facts = check.facts[static_cast<std::size_t>(i)];
    if (!facts.owned && !facts.covered) {
      skipped.add(CrossCheck::kExtents);
      continue;
    }
    const bool by_map = facts.owned.has_value();
    if (by_map ? *facts.owned == check.owned.sum(i) : *facts.covered == check.covered.sum(i)) continue;
    GroupComparison comparison(check, ag, findings);
    const std::uint64_t before = findings.total();
    for (const Window& window : windows(check, ag)) {
      if (by_map) {
        comparison.with_reverse_map(window);
      } else {
        comparison.with_cover(window);
      }
    }
    // A difference that cannot be shown is still one: what differs belongs to files that could not be read as a whole.
    if (findings.total() == before) skipped.add(CrossCheck::kExtents);
  }
}

}  // namespace xdax::fsck
