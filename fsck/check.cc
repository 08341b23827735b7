#include "fsck/check.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>
#include <vector>

#include "fsck/files.h"
#include "fsck/parallel.h"
#include "fsck/primary.h"
#include "libfs/base/math.h"

namespace xdax::fsck {
namespace {

// Groups that are joined at once; how many a thread gets before it waits for the others.
constexpr std::uint64_t kGroupsPerThread = 16;
// A superblock may claim billions of groups on a sparse file. Past this many without any header there is nothing to
// check.
constexpr std::uint64_t kMaxLostGroups = 65536;

Finding place(const char* structure) {
  Finding finding;
  finding.structure = structure;
  return finding;
}

std::string describe(Lsn lsn) { return fmt::format("cycle {} block {}", lsn.cycle, lsn.block); }

class Check {
 public:
  Check(Device& device, const CheckOptions& options, CheckResult& result)
      : device_(device), options_(options), result_(result) {}

  void run() {
    const Primary primary = check_primary(device_, {.search = !options_.quick}, result_.findings);
    result_.superblock = primary.superblock;
    result_.geometry = Geometry(primary.superblock);
    if (result_.geometry->features.needsrepair()) add(Problem::kSbNeedsRepair, place("superblock"));
    size();
    log();
    if (primary.original) stamp();
    if (options_.quick) return;
    groups();
    if (result_.waits_for_replay) return;
    if (primary.original) totals();
    files(primary.original);
  }

 private:
  void add(Problem problem, Finding finding) {
    finding.problem = problem;
    result_.findings.add(std::move(finding));
  }

  [[nodiscard]] const Geometry& geometry() const { return *result_.geometry; }
  [[nodiscard]] std::uint64_t device_blocks() const { return device_.size_bytes() >> geometry().block_log; }
  // Groups that begin on the device.
  [[nodiscard]] std::uint64_t groups_on_device() const {
    return std::min<std::uint64_t>(geometry().ag_count, div_ceil(device_blocks(), std::uint64_t{geometry().ag_blocks}));
  }

  void size() {
    if (geometry().data_blocks <= device_blocks()) return;
    Finding finding = place("superblock");
    finding.field = "sb.dblocks";
    finding.found = geometry().data_blocks;
    finding.expected = device_blocks();
    finding.detail = fmt::format("in blocks of {} bytes; {} of {} groups begin on the device", geometry().block_bytes,
                                 groups_on_device(), geometry().ag_count);
    add(Problem::kFsTruncated, std::move(finding));
  }

  void log() {
    // A log outside the filesystem is the superblock's own flaw.
    if (!geometry().valid_extent(geometry().log_start, geometry().log_blocks)) return;
    const std::uint64_t first_block =
        std::uint64_t{geometry().ag_of(geometry().log_start).value()} * geometry().ag_blocks +
        geometry().ag_block_of(geometry().log_start).value();
    LogSummary log;
    if (range_fits(first_block, geometry().log_blocks, device_blocks())) {
      log = read_log_summary(device_, LogPlace::of(geometry()));
    } else {
      log.detail = "it lies past the end of the device";
    }
    log_findings(log);
    result_.waits_for_replay = log.state == LogState::kDirty;
    result_.log = std::move(log);
  }

  void log_findings(const LogSummary& log) {
    Finding finding = place("log");
    finding.group = geometry().ag_of(geometry().log_start).value();
    finding.block = geometry().ag_block_of(geometry().log_start).value();
    finding.length_blocks = geometry().log_blocks;
    finding.detail = log.detail;
    if (!log.uuid_matches) add(Problem::kLogUuid, finding);
    if (log.bad_checksums > 0) {
      Finding bad = finding;
      bad.found = log.bad_checksums;
      bad.detail = fmt::format("records from tail to head, the first at {}", describe(*log.first_bad));
      add(Problem::kLogChecksum, std::move(bad));
    }
    switch (log.state) {
      case LogState::kClean:
        break;
      case LogState::kDirty:
        finding.found = log.records;
        finding.detail =
            fmt::format("head at {}, tail at {}, {} records", describe(*log.head), describe(*log.tail), log.records);
        if (log.torn_records > 0) finding.detail += fmt::format(", {} torn behind them", log.torn_records);
        if (log.foreign_byte_order) finding.detail += "; only a machine of the other byte order can replay it";
        add(Problem::kLogDirty, std::move(finding));
        break;
      case LogState::kZeroed:
        add(Problem::kLogZeroed, std::move(finding));
        break;
      case LogState::kDamaged:
        add(Problem::kLogDamaged, std::move(finding));
        break;
      case LogState::kUnreadable:
        add(Problem::kIoUnreadable, std::move(finding));
        break;
    }
  }

  [[nodiscard]] std::optional<LogSequence> log_head() const {
    if (!result_.log || !result_.log->head) return std::nullopt;
    if (result_.log->state != LogState::kClean && result_.log->state != LogState::kDirty) return std::nullopt;
    return result_.log->head->encode();
  }

  void stamp() {
    const LogSequence lsn = result_.superblock->lsn;
    const auto head = log_head();
    if (!head || lsn <= *head || lsn == ~0ull) return;
    Finding finding = place("superblock");
    finding.group = 0;
    finding.found = lsn;
    finding.expected = *head;
    finding.detail = "ought to be at most the end of the log";
    add(Problem::kLsnAhead, std::move(finding));
  }

  void groups() {
    const std::uint64_t count = groups_on_device();
    CheckObserver* observer = options_.observer;
    if (observer != nullptr) observer->start_pass(1, count * kGroupSteps, "groups");
    const GroupOptions group_options{.reference = *result_.superblock,
                                     .log_head = log_head(),
                                     .headers_only = result_.waits_for_replay,
                                     .hash = &hash_,
                                     .keep_free = options_.media,
                                     .step = [observer] {
                                       if (observer != nullptr) observer->advance(1);
                                     }};
    const std::uint64_t wave = kGroupsPerThread * std::max(options_.threads, 1u);
    std::uint64_t lost = 0;
    for (std::uint64_t first = 0; first < count && lost <= kMaxLostGroups; first += wave) {
      lost += check_wave(first, std::min(wave, count - first), group_options);
    }
    if (lost > kMaxLostGroups) {
      Finding finding = place("filesystem");
      finding.found = lost;
      finding.expected = count;
      finding.detail = fmt::format("{} of {} groups were looked at", result_.groups_checked, count);
      add(Problem::kFsAbandoned, std::move(finding));
    }
    totals_known_ = totals_known_ && result_.groups_checked == geometry().ag_count;
    if (observer != nullptr) observer->finish_pass();
  }

  // Checks groups [first, first + count) at once and joins what they found in order. Returns how many had no header.
  std::uint64_t check_wave(std::uint64_t first, std::uint64_t count, const GroupOptions& group_options) {
    std::vector<GroupReport> reports(static_cast<std::size_t>(count), GroupReport(options_.findings_limit));
    run_tasks(options_.threads, count, [&](std::uint64_t task, std::size_t) {
      const AgNumber ag(static_cast<std::uint32_t>(first + task));
      check_group(device_, geometry(), ag, group_options, reports[static_cast<std::size_t>(task)]);
    });
    std::uint64_t lost = 0;
    for (GroupReport& report : reports) {
      result_.findings.join(std::move(report.findings));
      result_.skipped.join(report.skipped);
      facts_.push_back(std::move(report.facts));
      ++result_.groups_checked;
      if (!report.any_header) ++lost;
      if (!report.totals) {
        totals_known_ = false;
        continue;
      }
      sums_.free_blocks += report.totals->free_blocks;
      sums_.inodes += report.totals->inodes;
      sums_.free_inodes += report.totals->free_inodes;
    }
    return lost;
  }

  void totals() {
    if (!totals_known_) return;
    const Superblock& superblock = *result_.superblock;
    const auto compare = [&](Problem problem, const char* field, std::uint64_t found, std::uint64_t expected) {
      if (found == expected) return;
      Finding finding = place("superblock");
      finding.field = field;
      finding.group = 0;
      finding.byte = 0;
      finding.found = found;
      finding.expected = expected;
      finding.detail = fmt::format("{}: ought to be the sum of the groups", field);
      add(problem, std::move(finding));
    };
    compare(Problem::kTotalSbIcount, "sb.icount", superblock.icount, sums_.inodes);
    compare(Problem::kTotalSbIfree, "sb.ifree", superblock.ifree, sums_.free_inodes);
    compare(Problem::kTotalSbFdblocks, "sb.fdblocks", superblock.fdblocks, sums_.free_blocks);
  }

  // A copy of the superblock need not know the first inodes; they are where every mkfs puts them.
  void place_first_inodes(Superblock& superblock, Geometry& geometry) const {
    superblock.uquotino = kNullInode.value();
    superblock.gquotino = kNullInode.value();
    superblock.pquotino = kNullInode.value();
    if (facts_.empty() || facts_[0].chunks.empty()) return;
    const InodeNumber root = geometry.inode_number(AgNumber(0), facts_[0].chunks[0].start);
    superblock.rootino = root.value();
    superblock.rbmino = root.value() + 1;
    superblock.rsumino = root.value() + 2;
    geometry.root_inode = root;
    geometry.realtime_bitmap_inode = root + 1;
    geometry.realtime_summary_inode = root + 2;
  }

  void files(bool original) {
    Superblock superblock = *result_.superblock;
    Geometry geometry = *result_.geometry;
    if (!original) place_first_inodes(superblock, geometry);
    FileCheck check(device_, geometry, superblock, facts_.size(), seed_);
    check.threads = options_.threads;
    check.findings_limit = options_.findings_limit;
    check.memory_bytes = options_.memory_bytes;
    check.media = options_.media;
    check.log_head = log_head();
    check.facts = std::move(facts_);
    const FileTotals totals = check_files(check, options_.observer, result_.findings, result_.skipped);
    result_.inodes_checked = totals.inodes;
    result_.directories_checked = totals.directories;
  }

  // Nobody who makes an image can know it.
  static std::uint64_t random_seed() {
    std::random_device source;
    return std::uint64_t{source()} << 32 | source();
  }

  Device& device_;
  const CheckOptions& options_;
  CheckResult& result_;
  std::uint64_t seed_ = random_seed();
  ExtentHash hash_{seed_};
  std::vector<GroupFacts> facts_;
  GroupTotals sums_;
  bool totals_known_ = true;
};

}  // namespace

CheckResult check_filesystem(Device& device, const CheckOptions& options) {
  CheckResult result(options.findings_limit);
  Check(device, options, result).run();
  return result;
}

}  // namespace xdax::fsck
