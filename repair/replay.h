// Replaying a log so that the device is never left half done.
//
// Everything happens on an overlay first. Only when all of the log was replayed, what it left to be done was done, and
// the checker finds the result sound, is it written. When nothing was left to be done: first what lies outside the log,
// then, behind a barrier, the record that makes the log clean. Until that record is there, the log is as it was, and
// the next run replays it again; to replay twice is to replay once. Otherwise what was replayed goes first, and then,
// behind a barrier, the rest is done once more, now on the device and through the log, which goes on: a run that is cut
// short leaves a log that says how far it came. (A mount goes on from there too, except that it believes the stamp of a
// block that was written in part.)
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "fsck/check.h"
#include "libfs/device/device.h"
#include "libfs/recovery/recovery.h"

namespace xdax::repair {

struct TouchedFile {
  InodeNumber ino;
  std::string path;  ///< empty where no name leads to it
};

struct ReplayOptions {
  bool write = false;
  bool name_files = false;
  unsigned threads = 1;
};

struct ReplayOutcome {
  RecoveryReport recovery;
  std::vector<TouchedFile> files;  ///< when asked for
  /// Of the overlay; absent when not everything was replayed.
  std::optional<fsck::CheckResult> check;
  std::uint64_t changed_bytes = 0;
  bool written = false;

  [[nodiscard]] bool was_clean() const { return recovery.log.state == LogState::kClean; }
  /// All of the log was replayed and the result is sound.
  [[nodiscard]] bool sound() const {
    return recovery.complete() && check && !check->findings.has_problems() && check->complete();
  }
};

/// Replays the log of `device` and, when asked to and the outcome is sound, writes the result. Throws as replay_log()
/// and open_geometry_to_write() do; nothing has been written then, unless it is an IoError of a write.
[[nodiscard]] ReplayOutcome replay(Device& device, const ReplayOptions& options);

}  // namespace xdax::repair
