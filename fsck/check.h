// The check of one filesystem: superblock, log, groups side by side, totals, files.
//
// Nothing is printed and nothing is written. Work and memory are bounded by what the device holds, never by what a
// superblock claims. Thread-safe: no state between calls.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "fsck/finding.h"
#include "fsck/group.h"
#include "libfs/device/device.h"
#include "libfs/format/geometry.h"
#include "libfs/format/superblock.h"
#include "libfs/journal/log_reader.h"

namespace xdax::fsck {

/// Told about progress. advance() is called by several threads at once.
class CheckObserver {
 public:
  virtual ~CheckObserver() = default;
  virtual void start_pass(unsigned number, std::uint64_t maximum, const char* title) = 0;
  virtual void advance(std::uint64_t steps) = 0;
  virtual void finish_pass() = 0;
};

struct CheckOptions {
  /// Only the superblock and the state of the log: what a boot can afford.
  bool quick = false;
  unsigned threads = 1;
  /// Findings kept of each problem; the rest are counted.
  std::uint64_t findings_limit = FindingList::kDefaultLimit;
  CheckObserver* observer = nullptr;
  /// Also reads every block in use, what files hold included.
  bool media = false;
  /// Bytes that lists collected to explain a difference may take; a few bytes an inode come besides.
  std::uint64_t memory_bytes = 256ull << 20;
};

struct CheckResult {
  explicit CheckResult(std::uint64_t limit) : findings(limit) {}

  FindingList findings;
  /// What the filesystem is; absent when no superblock could be used.
  std::optional<Superblock> superblock;
  std::optional<Geometry> geometry;
  std::optional<LogSummary> log;
  SkippedChecks skipped;
  /// The log is dirty, so that only what each sector says by itself was checked.
  bool waits_for_replay = false;
  std::uint64_t groups_checked = 0;
  /// Inodes in use that could be read, and directories among them; absent when files were not looked at.
  std::optional<std::uint64_t> inodes_checked;
  std::uint64_t directories_checked = 0;

  /// Whether every comparison could be made. Where one could not, a finding says why, unless what was read changed
  /// meanwhile.
  [[nodiscard]] bool complete() const { return !skipped.any(); }
};

/// Checks the filesystem on `device`. Throws RefusalError (kNotXfs, kNotSupported) when there is none or it has a
/// feature this build does not know, and IoError when not even the first sector can be read; everything else is a
/// finding.
[[nodiscard]] CheckResult check_filesystem(Device& device, const CheckOptions& options);

}  // namespace xdax::fsck
