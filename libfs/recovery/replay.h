// Puts what committed transactions logged where it belongs.
//
// Two passes over the log: the first notes which buffers were given up (cancelled), the second applies. Inside a
// transaction buffers come first, then inodes and quota records, then the unlinked pointers in inode clusters, and
// cancellations last. What is on disk and as new as the change already is left alone, and everything written carries
// the LSN of its transaction and a right checksum. A stamp counts only with a right checksum: a block that was written
// in part when the power went has old sectors behind a new stamp, and is made whole by applying every change again.
// Intents without their done item are kept: what they announced is still to be done, by whoever can change the
// filesystem. Source: XFS Algorithms & Data Structures, "Journaling Log"; the order and what is skipped were learnt
// from what a mount leaves (tests/oracle/recovery_kernel_test.cc).
//
// Writes to the device as it goes, and throws in the middle when the log asks for what cannot be: meant for an overlay,
// which is then dropped. Not thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "libfs/device/device.h"
#include "libfs/format/geometry.h"
#include "libfs/format/inode_fork.h"
#include "libfs/journal/log_walk.h"

namespace xdax {

struct ReplayCounts {
  std::uint64_t transactions = 0;
  std::uint64_t buffers = 0;
  std::uint64_t inodes = 0;
  std::uint64_t dquots = 0;
  std::uint64_t chunks = 0;    ///< of new inodes
  std::uint64_t torn = 0;      ///< items applied to what had a wrong checksum
  std::uint64_t newer = 0;     ///< items left out: the disk is as new
  std::uint64_t given_up = 0;  ///< items left out: their buffer was cancelled
};

class Replay {
 public:
  /// Both must outlive it.
  Replay(Device& device, const Geometry& geometry) : device_(device), geometry_(geometry) {}

  /// The first pass: call for every transaction, in order.
  void look_ahead(const LogTransaction& transaction);
  /// The second pass: the same transactions again. Throws CorruptionError for an item that is not sound or does not fit
  /// what is on disk, IoError for a device that fails.
  void apply(const LogTransaction& transaction);

  [[nodiscard]] const ReplayCounts& counts() const { return counts_; }
  /// Inodes that items name, whether they were replayed or left out, in order.
  [[nodiscard]] const std::set<std::uint64_t>& inodes() const { return inodes_; }
  /// Files whose extent maps' blocks have a new owner: to be told when everything is applied (owner_change.h).
  [[nodiscard]] const std::set<std::pair<std::uint64_t, Fork>>& owner_changes() const { return owner_changes_; }
  /// Intents that were announced and not done, in order.
  [[nodiscard]] std::vector<LogItem> unfinished() const;

 private:
  using Place = std::pair<std::uint64_t, std::uint32_t>;  ///< disk address and length of a buffer
  struct Buffer;

  void buffer(const LogItem& item, Lsn lsn);
  void copy_regions(const LogItem& item, Buffer& buffer) const;
  void unlinked_pointers(const LogItem& item, Buffer& buffer) const;
  void dquot_buffer(const LogItem& item, Buffer& buffer, Lsn lsn) const;
  void give_up(const LogItem& item);
  void inode(const LogItem& item, Lsn lsn);
  void dquot(const LogItem& item, Lsn lsn);
  void icreate(const LogItem& item);
  void intent(const LogItem& item);
  void done(const LogItem& item);

  [[nodiscard]] bool as_new(std::uint64_t there, Lsn lsn, bool whole, bool when_equal);
  [[nodiscard]] Buffer read(Place place) const;
  void write(const Buffer& buffer);
  [[nodiscard]] bool is_given_up(const Place& place) const { return given_up_.contains(place); }
  void require(const LogItem& item) const;
  [[noreturn]] void corrupt(const LogItem& item, const std::string& rule) const;

  Device& device_;
  const Geometry& geometry_;
  std::map<Place, std::uint64_t> given_up_;  ///< how often
  /// By type and id of the intent; the order of arrival beside it.
  std::map<std::pair<LogItemType, std::uint64_t>, std::pair<std::uint64_t, LogItem>> intents_;
  std::uint64_t intents_seen_ = 0;
  std::set<std::uint64_t> inodes_;
  std::set<std::pair<std::uint64_t, Fork>> owner_changes_;
  ReplayCounts counts_;
};

}  // namespace xdax
