// Brings a filesystem with a dirty log to the state that its committed transactions describe.
//
// Three steps: replay_log() puts in place what was committed; finish_log() does what that leaves to be done (intents
// that were announced and not done, inodes without a name, blocks staged for copy on write) and ends the log. Both
// write to the device given, and a log that cannot be replayed throws in the middle: rehearse on an overlay. On a
// device every crash leaves a log from which the next run comes to the same end, as long as there is a barrier between
// the two steps.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "libfs/device/device.h"
#include "libfs/format/geometry.h"
#include "libfs/journal/log_reader.h"
#include "libfs/journal/log_walk.h"
#include "libfs/recovery/finish.h"
#include "libfs/recovery/replay.h"

namespace xdax {

struct RecoveryReport {
  LogSummary log;      ///< as it was found
  LogWalkResult walk;  ///< of the records
  ReplayCounts counts;
  std::vector<InodeNumber> inodes;   ///< that the log names, in order
  std::vector<LogItem> unfinished;   ///< intents that are still to be done, in order
  std::uint64_t unlinked_lists = 0;  ///< that are not empty yet
  SummaryCounters counters;          ///< of the superblock, as replay leaves them
  std::optional<Geometry> resized;   ///< when the log holds another size of the filesystem; it is that from then on
  /// What was done behind the replay, through the log; absent when nothing was.
  std::optional<FinishCounts> finished;

  /// Nothing of the log was left out, and nothing has to follow.
  [[nodiscard]] bool complete() const { return !walk.damage && unfinished.empty() && unlinked_lists == 0; }
};

struct RecoveryOptions {
  /// What is finished is written to the log in pieces of at most so many log blocks (512 bytes), or of what one
  /// transaction takes; 0 for as much as is good for the log.
  std::uint64_t checkpoint_log_blocks = 0;
};

/// Replays a dirty log and brings the counters of the superblock up to date, as a mount would. Of a clean log nothing
/// is done. With a flaw between tail and head, what is before it is replayed and `walk.damage` says where it is. Throws
/// RefusalError (kNotSupported) when head or tail cannot be told, CorruptionError for an item or a header that is not
/// sound, IoError.
RecoveryReport replay_log(Device& device, const Geometry& geometry);

/// Does what is left of a log that replay_log() replayed, and ends it: the device is then as after a mount and an
/// unmount. Does nothing when the report says that it is damaged. What was replayed is durable. Durable when it
/// returns, when anything was finished; no barrier otherwise. Throws as replay_log() does, CorruptionError for an
/// intent that cannot be, and RefusalError (kNoSpace).
void finish_log(Device& device, const Geometry& geometry, RecoveryReport& report, const RecoveryOptions& options = {});

/// Both, with a barrier between.
RecoveryReport recover(Device& device, const Geometry& geometry, const RecoveryOptions& options = {});

}  // namespace xdax
