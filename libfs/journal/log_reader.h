// Finds out what an internal log holds, without changing it and without replaying it.
//
// The log is a ring; nothing on disk says where it begins or ends. The *head* is where the next record would go, the
// *tail* the oldest record whose changes may not be in place. JOURNAL.md tells how both are found. Works on any log:
// hostile bytes cost at most one pass over it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "libfs/base/uuid.h"
#include "libfs/device/device.h"
#include "libfs/format/flaw.h"
#include "libfs/format/geometry.h"
#include "libfs/format/log_record.h"

namespace xdax {

/// Where a log lies, and whose it is.
struct LogPlace {
  std::uint64_t offset_bytes = 0;
  std::uint32_t blocks = 0;  ///< 512-byte blocks
  Uuid user_uuid;

  /// The internal log of a filesystem, which must have one.
  [[nodiscard]] static LogPlace of(const Geometry& geometry);
};

enum class LogState : std::uint8_t {
  kClean,       ///< ends with an unmount record: everything is in place
  kDirty,       ///< holds changes that may not be in place
  kZeroed,      ///< nothing but zeros; no tool leaves a log so
  kDamaged,     ///< head or tail cannot be told, or the way between them is broken
  kUnreadable,  ///< the device could not read it
};
[[nodiscard]] const char* to_string(LogState state);

struct LogSummary {
  LogState state = LogState::kUnreadable;
  /// Known in kClean and kDirty, and in kDamaged when a last record was found.
  std::optional<Lsn> head;
  std::optional<Lsn> tail;
  std::optional<Lsn> last_record;
  /// Records from tail to head; 0 when clean.
  std::uint64_t records = 0;
  /// Records at the head that were being written when writing stopped; recovery ignores them, as a mount does.
  std::uint32_t torn_records = 0;
  /// Records between tail and head whose checksum is wrong, and the first of them.
  std::uint64_t bad_checksums = 0;
  std::optional<Lsn> first_bad;
  /// Whether every record that was looked at carries the filesystem's uuid.
  bool uuid_matches = true;
  /// Written by a machine of another byte order: only such a machine can replay it.
  bool foreign_byte_order = false;
  /// Why, for kDamaged and kUnreadable: a clause.
  std::string detail;
};

/// Looks at the log. Reads the neighbourhood of the head, and when the log is dirty all records between tail and head.
/// Never throws for anything on the device; std::bad_alloc aside. Thread-safe.
[[nodiscard]] LogSummary read_log_summary(Device& device, const LogPlace& place);

}  // namespace xdax
