// What a dirty log says was done: its transactions, in the order in which they were committed.
//
// Records from tail to head are verified and taken apart into operations; operations of one transaction are gathered,
// however they are spread over records, and handed over as items once the commit is met. A transaction that never
// commits was being written when writing stopped, and is none. Nothing is judged beyond the form: whether an item's
// first region is sound (verify_log_item()) is for whoever uses it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "libfs/device/device.h"
#include "libfs/format/log_items.h"
#include "libfs/format/log_record.h"
#include "libfs/journal/log_reader.h"

namespace xdax {

using LogRegion = std::vector<std::byte>;

struct LogItem {
  LogItemType type{};
  std::vector<LogRegion> regions;  ///< at least one: the format structure
};

struct LogTransaction {
  std::uint32_t tid = 0;
  Lsn lsn;  ///< of the record in which it begins; what it changes is stamped with it
  std::vector<LogItem> items;
};

/// Where a log stopped making sense.
struct LogDamage {
  Lsn record;
  std::string what;  ///< a clause
};

struct LogWalkResult {
  std::uint64_t records = 0;
  std::uint64_t transactions = 0;  ///< handed over
  std::uint64_t uncommitted = 0;   ///< begun, and not committed before the end
  /// For whoever appends to this log: a transaction id that none of the uncommitted has, nor the many that follow, and
  /// the size that the first record names. A mount makes room for records of that size, and no greater ones.
  std::uint32_t free_tid = 0;
  std::uint32_t record_bytes = 0;
  /// Everything before it was handed over, nothing behind it.
  std::optional<LogDamage> damage;
};

/// Hands every committed transaction between tail and head to `use`. `summary` is of this log, with a tail and a head.
/// Bytes in memory at a time: what uncommitted transactions hold, at most what the log does. Throws IoError, and
/// whatever `use` throws. Thread-safe.
LogWalkResult walk_log(Device& device, const LogPlace& place, const LogSummary& summary,
                       const std::function<void(const LogTransaction&)>& use);

}  // namespace xdax
