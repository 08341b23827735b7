// Writes the log: records at the head, in the format a kernel writes and replays.
//
// A transaction is a stream of operations cut into records of at most a fixed size. At most eight records, and 2 MiB,
// are under way at a time: that is how far behind the end of the log a reader looks for records that did not arrive.
// The writer knows nothing of what items mean. Not thread-safe. Source: XFS Algorithms & Data Structures, "Journaling
// Log"; tests/oracle/journal_write_test.cc shows that a kernel replays what it writes.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "libfs/device/device.h"
#include "libfs/format/geometry.h"
#include "libfs/format/log_record.h"
#include "libfs/journal/log_reader.h"
#include "libfs/journal/log_ring.h"
#include "libfs/journal/log_walk.h"

namespace xdax {

class LogWriter {
 public:
  /// `head` is where the next record goes. The device must outlive it.
  LogWriter(Device& device, const Geometry& geometry, Lsn head);
  /// Goes on with a log that is not clean, as `walk` found it. clear_ahead() comes before the first record.
  LogWriter(Device& device, const Geometry& geometry, Lsn head, const LogWalkResult& walk);

  [[nodiscard]] Lsn head() const { return head_; }
  /// 512-byte blocks from `tail` to the head; 0 when they are equal.
  [[nodiscard]] std::uint64_t used_blocks(Lsn tail) const;
  [[nodiscard]] std::uint32_t log_blocks() const { return place_.blocks; }
  /// At most what a transaction of `regions` regions with `bytes` bytes in them takes in the log, 512-byte blocks.
  [[nodiscard]] std::uint64_t blocks_for(std::uint64_t regions, std::uint64_t bytes) const;

  /// Writes `items` as one committed transaction, durable when it returns, and moves the head behind it. `tail` is what
  /// its records name. There must be room: used_blocks(tail) + blocks_for() < log_blocks(). Throws IoError; the head
  /// is then where it was and the same may be tried again.
  void write_transaction(std::span<const LogItem> items, Lsn tail);

  /// Overwrites what records in flight may have left ahead of the head, as far as `tail` at most, durable when it
  /// returns. Throws IoError.
  void clear_ahead(Lsn tail);

  /// Writes an unmount record. `clear` says to overwrite what records in flight may have left ahead of it, which is
  /// necessary after a crash. No barrier. Throws IoError.
  void write_unmount(bool clear);

 private:
  struct Record {
    std::vector<std::byte> bytes;
    std::size_t used = 0;  ///< of the data
    std::uint32_t operations = 0;
  };

  [[nodiscard]] LogRecordHeader header(const Lsn& lsn, const Lsn& tail) const;
  [[nodiscard]] std::size_t data_room() const { return record_bytes_ - header_bytes_; }
  void add_operation(std::uint8_t flags, ByteSpan body);
  MutableByteSpan claim(std::uint8_t flags, std::size_t bytes);
  void start_record();
  /// Returns where the next record goes.
  [[nodiscard]] Lsn seal_record(Record& record, Lsn at, Lsn tail, std::uint32_t previous, std::uint32_t size) const;
  void write(std::uint32_t first, ByteSpan bytes);
  void write_blank(Lsn at, std::uint64_t blocks, Lsn tail);
  void clear_unfinished(Lsn tail);

  Device& device_;
  LogPlace place_;
  LogRing ring_;
  Lsn head_;
  std::uint32_t unit_bytes_;    ///< records are whole numbers of it
  std::uint32_t record_bytes_;  ///< the greatest
  std::uint32_t header_bytes_;
  std::uint32_t previous_ = LogRecordHeader::kNoPrevious;
  std::uint32_t tid_ = 0;
  /// Blocks ahead of the head that an attempt which failed may have written.
  std::uint64_t unfinished_blocks_ = 0;
  std::vector<Record> records_;  ///< of the transaction being written
};

}  // namespace xdax
