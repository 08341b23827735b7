// Brings a filesystem with a dirty log to the state that its committed transactions describe.
//
// Everything is written to the device given, which is meant to be an overlay: a log that cannot be replayed throws in
// the middle. What is left to be done by somebody who can change the filesystem (intents that were announced and not
// done, inodes without links that were still open) is counted, and then the log is still dirty: only when nothing is
// left may it be ended.
#pragma once

#include <cstdint>
#include <vector>

#include "libfs/device/device.h"
#include "libfs/format/geometry.h"
#include "libfs/journal/log_reader.h"
#include "libfs/journal/log_walk.h"
#include "libfs/recovery/replay.h"

namespace xdax {

struct RecoveryReport {
  LogSummary log;      ///< as it was found
  LogWalkResult walk;  ///< of the records
  ReplayCounts counts;
  std::vector<InodeNumber> inodes;   ///< that the log names, in order
  std::vector<LogItem> unfinished;   ///< intents, in order
  std::uint64_t unlinked_lists = 0;  ///< that are not empty

  /// Nothing of the log was left out, and nothing has to follow.
  [[nodiscard]] bool complete() const { return !walk.damage && unfinished.empty() && unlinked_lists == 0; }
};

/// Replays a dirty log and brings the counters of the superblock up to date, as a mount would. Of a clean log nothing
/// is done. With a flaw between tail and head, what is before it is replayed and `walk.damage` says where it is. Throws
/// RefusalError (kNotSupported) when head or tail cannot be told, CorruptionError for an item or a header that is not
/// sound, IoError.
RecoveryReport replay_log(Device& device, const Geometry& geometry);

/// Replays and, when that is complete, ends the log: the device is then as after a mount and an unmount. Not a barrier.
RecoveryReport recover(Device& device, const Geometry& geometry);

}  // namespace xdax
