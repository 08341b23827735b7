#include "fsck/media.h"

#include <fmt/format.h>

#include <algorithm>

#include "fsck/fork_walk.h"
#include "fsck/inode_scan.h"
#include "fsck/name_scan.h"
#include "fsck/parallel.h"
#include "libfs/base/mutex.h"
#include "libfs/device/aligned_buffer.h"

namespace xdax::fsck {
namespace {

constexpr std::uint64_t kTaskBytes = 64ull << 20;
constexpr std::uint64_t kRequestBytes = 256u << 10;
constexpr std::size_t kRequestsOfBatch = 8;

// Blocks of one group that a task reads.
struct Stretch {
  std::uint32_t group = 0;
  std::uint32_t start = 0;
  std::uint32_t length = 0;
};

// Blocks that could not be read, by group.
class BadBlocks {
 public:
  explicit BadBlocks(std::uint64_t groups) : groups_(static_cast<std::size_t>(groups)) {}

  void add(std::uint32_t group, const std::vector<Interval>& blocks) XDAX_EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    groups_[group].insert(groups_[group].end(), blocks.begin(), blocks.end());
  }
  // In order and joined; true when there are any.
  bool settle() XDAX_EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    bool any = false;
    for (std::vector<Interval>& group : groups_) {
      std::sort(group.begin(), group.end(), [](const Interval& l, const Interval& r) { return l.start < r.start; });
      std::vector<Interval> joined;
      for (const Interval& each : group) append_merged(joined, each);
      group = std::move(joined);
      any = any || !group.empty();
    }
    return any;
  }
  // After settle(), when no thread adds any more.
  [[nodiscard]] std::vector<std::vector<Interval>> take() XDAX_EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    return std::move(groups_);
  }

 private:
  Mutex mutex_;
  std::vector<std::vector<Interval>> groups_ XDAX_GUARDED_BY(mutex_);
};

std::vector<Stretch> stretches(const FileCheck& check) {
  std::vector<Stretch> all;
  const Geometry& geometry = check.geometry;
  const auto most = static_cast<std::uint32_t>(kTaskBytes >> geometry.block_log);
  const std::uint64_t device_blocks = check.device.size_bytes() >> geometry.block_log;
  for (std::uint32_t group = 0; group < check.facts.size(); ++group) {
    const std::uint64_t first = std::uint64_t{group} * geometry.ag_blocks;
    const auto length = static_cast<std::uint32_t>(
        std::min<std::uint64_t>(geometry.ag_length_blocks(AgNumber(group)), device_blocks - first));
    const auto used = [&](std::uint32_t start, std::uint64_t end) {
      for (std::uint64_t at = start; at < std::min<std::uint64_t>(end, length); at += most) {
        const std::uint64_t blocks = std::min<std::uint64_t>(most, std::min<std::uint64_t>(end, length) - at);
        all.push_back({group, static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(blocks)});
      }
    };
    std::uint64_t at = 0;
    for (const Interval& free : check.facts[group].free) {
      if (free.start > at) used(static_cast<std::uint32_t>(at), free.start);
      at = std::max(at, free.end());
    }
    if (at < length) used(static_cast<std::uint32_t>(at), length);
  }
  return all;
}

void read_stretch(const FileCheck& check, const Stretch& stretch, IoBytes& buffer, BadBlocks& bad) {
  const Geometry& geometry = check.geometry;
  const auto request_blocks = static_cast<std::uint32_t>(kRequestBytes >> geometry.block_log);
  buffer.resize(kRequestsOfBatch * kRequestBytes);
  std::vector<ReadRequest> requests;
  std::vector<Interval> unreadable;
  for (std::uint32_t done = 0; done < stretch.length;) {
    const std::uint32_t first = done;
    requests.clear();
    for (std::size_t i = 0; i < kRequestsOfBatch && done < stretch.length; ++i) {
      const std::uint32_t blocks = std::min(request_blocks, stretch.length - done);
      requests.push_back(
          {.offset_bytes = geometry.byte_of(AgNumber(stretch.group), AgBlock(stretch.start + done)),
           .buffer = MutableByteSpan(buffer).subspan(i * kRequestBytes, std::size_t{blocks} << geometry.block_log),
           .error = {}});
      done += blocks;
    }
    check.device.read_batch(requests);
    std::uint32_t block = stretch.start + first;
    for (const ReadRequest& request : requests) {
      const auto blocks = static_cast<std::uint32_t>(request.buffer.size() >> geometry.block_log);
      for (std::uint32_t i = 0; request.error && i < blocks; ++i) {
        ReadRequest single{.offset_bytes = request.offset_bytes + (std::uint64_t{i} << geometry.block_log),
                           .buffer = request.buffer.first(geometry.block_bytes),
                           .error = {}};
        check.device.read_batch({&single, 1});
        if (single.error) append_merged(unreadable, {block + i, 1, 1});
      }
      block += blocks;
    }
  }
  if (!unreadable.empty()) bad.add(stretch.group, unreadable);
}

void report_groups(const FileCheck& check, const std::vector<std::vector<Interval>>& bad, FindingList& findings) {
  for (std::uint32_t group = 0; group < bad.size(); ++group) {
    for (const Interval& interval : bad[group]) {
      Finding finding;
      finding.problem = Problem::kIoUnreadable;
      finding.structure = "media";
      finding.group = group;
      finding.block = interval.start;
      finding.length_blocks = interval.length;
      finding.byte = check.geometry.byte_of(AgNumber(group), AgBlock(interval.start));
      finding.detail = "the files that hold it are named apart";
      findings.add(std::move(finding));
    }
  }
}

// Reports what a file maps of the blocks that could not be read.
class Owners final : public ExtentSink {
 public:
  Owners(FileView& file, const std::vector<std::vector<Interval>>& bad) : file_(file), bad_(bad) {}

  void extent(const Extent& extent) override {
    const Geometry& geometry = file_.geometry;
    const std::uint32_t group = geometry.ag_of(extent.start).value();
    if (extent.unwritten || group >= bad_.size()) return;
    const std::uint32_t start = geometry.ag_block_of(extent.start).value();
    const std::uint64_t end = std::uint64_t{start} + extent.length_blocks;
    const std::vector<Interval>& list = bad_[group];
    for (auto it =
             std::partition_point(list.begin(), list.end(), [start](const Interval& i) { return i.end() <= start; });
         it != list.end() && it->start < end; ++it) {
      const std::uint32_t first = std::max(it->start, start);
      Finding finding = file_.place("data", extent.start + (first - start));
      finding.length_blocks = static_cast<std::uint32_t>(std::min(it->end(), end) - first);
      const std::uint64_t at = extent.file_block.value() + (first - start);
      finding.detail = finding.length_blocks == 1
                           ? fmt::format("file block {}", at)
                           : fmt::format("file blocks {} to {}", at, at + finding.length_blocks - 1);
      file_.add(Problem::kIoUnreadable, std::move(finding));
    }
  }
  void tree_block(FsBlock) override {}

 private:
  FileView& file_;
  const std::vector<std::vector<Interval>>& bad_;
};

void report_files(const FileCheck& check, const std::vector<std::vector<Interval>>& bad, FindingList& findings) {
  const std::vector<ChunkRange> ranges = chunk_ranges(check.inodes);
  run_tasks(check.threads, ranges.size(), check.findings_limit, findings,
            [&](std::uint64_t task, std::size_t, FindingList& list) {
              const ChunkRange& range = ranges[static_cast<std::size_t>(task)];
              NoFindings silence;  // for what the pass over inodes has said
              FileView quiet(check.device, check.geometry, silence);
              FileView file(check.device, check.geometry, list);
              Owners owners(file, bad);
              for_each_known_inode(check, range, [&](InodeNumber ino, ByteSpan bytes) {
                quiet.ino = file.ino = ino;
                quiet.inode = file.inode = bytes;
                if (file.core().type() == FileType::kRegular) ForkWalk(quiet, Fork::kData, owners).run();
              });
            });
}

}  // namespace

void check_media(FileCheck& check, CheckObserver* observer, FindingList& findings) {
  const std::vector<Stretch> all = stretches(check);
  if (observer != nullptr) observer->start_pass(4, all.size(), "media");
  BadBlocks bad(check.facts.size());
  std::vector<IoBytes> buffers(std::max(1u, check.threads));
  run_tasks(check.threads, all.size(), [&](std::uint64_t task, std::size_t worker) {
    read_stretch(check, all[static_cast<std::size_t>(task)], buffers[worker], bad);
    if (observer != nullptr) observer->advance(1);
  });
  if (observer != nullptr) observer->finish_pass();
  if (!bad.settle()) return;
  const std::vector<std::vector<Interval>> lists = bad.take();
  report_groups(check, lists, findings);
  report_files(check, lists, findings);
}

}  // namespace xdax::fsck
