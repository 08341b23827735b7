// Log records: how the log is written, below the meaning of what is in it.
//
// The log is a ring of 512-byte blocks. A record is one header block, further header blocks when it may be larger than
// 32 KiB, and `len` bytes of data. The first word of every data block on disk is the record's cycle, so that a torn
// write shows; the words it displaced are kept in the headers' cycle_data. Data is a sequence of operations: a 12-byte
// header and `len` bytes each.
//
//   0 magicno 0xfeedbabe  4 cycle  8 version  12 len  16 lsn  24 tail_lsn  32 crc  36 prev_block  40 num_logops
//  44 cycle_data[64]    300 fmt  304 fs_uuid  320 size  324 pad  328 end; zero to 512
//  Further header:        0 cycle  4 cycle_data[64]  260 end
//  Operation:             0 tid    4 len    8 clientid  9 flags  10 res2  12 end
//
// Headers are big-endian. The bodies of operations are in the byte order of the machine that wrote them (`fmt`); this
// build handles little-endian ones. Source: XFS Algorithms & Data Structures, "Journaling Log"; the blank records a
// mount leaves ahead of the head were seen on disk (tests/oracle/format_log_test.cc).
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>

#include "libfs/base/bytes.h"
#include "libfs/base/endian.h"
#include "libfs/base/math.h"
#include "libfs/base/units.h"
#include "libfs/base/uuid.h"
#include "libfs/format/flaw.h"
#include "libfs/format/geometry.h"
#include "libfs/format/log_order.h"

namespace xdax {

/// A place in the log's history: the cycle says how often the ring has been filled. Ordered by age.
struct Lsn {
  std::uint32_t cycle = 0;
  std::uint32_t block = 0;  ///< 512-byte blocks from the start of the log

  auto operator<=>(const Lsn&) const = default;
  [[nodiscard]] static constexpr Lsn decode(std::uint64_t stored) {
    return {.cycle = static_cast<std::uint32_t>(stored >> 32), .block = static_cast<std::uint32_t>(stored)};
  }
  [[nodiscard]] constexpr std::uint64_t encode() const { return std::uint64_t{cycle} << 32 | block; }
};

/// Byte orders a record may name in `fmt`.
namespace log_formats {
inline constexpr std::uint32_t kUnknown = 0;
inline constexpr std::uint32_t kLinuxLittle = 1;
inline constexpr std::uint32_t kLinuxBig = 2;
inline constexpr std::uint32_t kIrixBig = 3;
}  // namespace log_formats

struct LogRecordHeader {
  static constexpr std::uint32_t kMagic = 0xfeedbabe;
  static constexpr std::uint32_t kVersion = 2;
  static constexpr std::uint32_t kCycleWords = 64;
  static constexpr std::uint32_t kNoPrevious = 0xffffffff;

  be32 magicno;
  be32 cycle;
  be32 version;
  be32 len;
  be64 lsn;
  be64 tail_lsn;
  le32 crc;
  be32 prev_block;
  be32 num_logops;
  be32 cycle_data[kCycleWords];
  be32 fmt;
  Uuid fs_uuid;
  be32 size;
  be32 pad;

  /// A header a mount writes over stale blocks ahead of the head; it has no data and is no record.
  [[nodiscard]] bool blank() const { return len == 0 && num_logops == 0; }
};
static_assert(sizeof(LogRecordHeader) == 328);
static_assert(offsetof(LogRecordHeader, len) == 12);
static_assert(offsetof(LogRecordHeader, lsn) == 16);
static_assert(offsetof(LogRecordHeader, tail_lsn) == 24);
static_assert(offsetof(LogRecordHeader, crc) == 32);
static_assert(offsetof(LogRecordHeader, prev_block) == 36);
static_assert(offsetof(LogRecordHeader, cycle_data) == 44);
static_assert(offsetof(LogRecordHeader, fmt) == 300);
static_assert(offsetof(LogRecordHeader, fs_uuid) == 304);
static_assert(offsetof(LogRecordHeader, size) == 320);

struct LogExtendedHeader {
  be32 cycle;
  be32 cycle_data[LogRecordHeader::kCycleWords];
};
static_assert(sizeof(LogExtendedHeader) == 260);

namespace limits {
inline constexpr std::uint32_t kMaxLogRecordBytes = 256 * 1024;
/// Bytes of data whose displaced words fit one header.
inline constexpr std::uint32_t kLogBytesPerHeader = LogRecordHeader::kCycleWords * kBasicBlockBytes;
}  // namespace limits

/// Who an operation belongs to.
namespace log_clients {
inline constexpr std::uint8_t kTransaction = 0x69;
inline constexpr std::uint8_t kLog = 0xaa;
}  // namespace log_clients

namespace log_op_flags {
inline constexpr std::uint8_t kStart = 0x01;         ///< starts a transaction; no body
inline constexpr std::uint8_t kCommit = 0x02;        ///< commits it; no body
inline constexpr std::uint8_t kContinue = 0x04;      ///< the body goes on in the next record
inline constexpr std::uint8_t kWasContinued = 0x08;  ///< the body began in an earlier record
inline constexpr std::uint8_t kEnd = 0x10;           ///< ends what was continued
inline constexpr std::uint8_t kUnmount = 0x20;       ///< the filesystem was unmounted cleanly here
inline constexpr std::uint8_t kKnown = 0x3f;
}  // namespace log_op_flags

struct LogOpHeader {
  be32 tid;
  be32 len;
  std::uint8_t clientid;
  std::uint8_t flags;
  be16 res2;
};
static_assert(sizeof(LogOpHeader) == 12);
static_assert(offsetof(LogOpHeader, clientid) == 8);

/// Body of an unmount operation. Kernels of today write it but give the operation a length of 0; the flag alone counts.
struct UnmountRecord {
  static constexpr std::uint16_t kMagic = 0x556e;  // "Un"

  le16 magic;
  le16 pad1;
  le32 pad2;
};
static_assert(sizeof(UnmountRecord) == 8);

/// The first region of every transaction.
struct TransactionHeader {
  static constexpr std::uint32_t kMagic = 0x5452414e;  // "TRAN"
  static constexpr std::uint32_t kCheckpoint = 40;     ///< the type of everything a current kernel writes

  le32 magic;
  le32 type;
  le32 tid;
  le32 num_items;  ///< regions that follow, despite the name
};
static_assert(sizeof(TransactionHeader) == 16);

/// Header blocks of a record of at most `size` bytes (the header's field); at least 1.
[[nodiscard]] constexpr std::uint32_t log_header_blocks(std::uint32_t size) {
  return size <= limits::kLogBytesPerHeader ? 1 : div_ceil(size, limits::kLogBytesPerHeader);
}

struct LogRecordExpectation {
  Uuid user_uuid;                ///< the log carries the uuid that the user sees, not the one of metadata
  std::uint32_t block = 0;       ///< where it lies: 512-byte blocks from the start of the log
  std::uint32_t log_blocks = 0;  ///< 512-byte blocks of the log
};

/// Checks one header block (512 bytes). A blank header is legal; whether it may stand here is the reader's to know. The
/// checksum needs the data: verify_log_record().
[[nodiscard]] Flaws verify_log_record_header(ByteSpan block, const LogRecordExpectation& expected);

/// The checksum covers the header as the writing machine laid it out: 328 bytes on 64-bit ones, 324 on others.
inline constexpr std::uint32_t kLogHeaderBytes64 = 328;
inline constexpr std::uint32_t kLogHeaderBytes32 = 324;

/// The checksum to store for a record. `headers` are its header blocks, `data` its `len` bytes as they are on disk,
/// cycle words in place. Only the further headers that the data needs take part.
[[nodiscard]] std::uint32_t log_record_checksum(ByteSpan headers, ByteSpan data, std::uint32_t header_bytes);

/// Checks a whole record: verify_log_record_header(), the further headers, the checksum, and the cycle in every block.
/// `record` starts with the header and has at least log_header_blocks(size) blocks and len bytes; when it is shorter,
/// that is a flaw. A checksum of zero is legal in the lone unmount record that mkfs writes.
[[nodiscard]] Flaws verify_log_record(ByteSpan record, const LogRecordExpectation& expected);

/// Puts back the words that cycles displaced. Blocks past what `headers` can describe keep theirs: only the lone
/// unmount record that mkfs writes may have such blocks, and they are empty.
void restore_cycle_words(MutableByteSpan data, ByteSpan headers);

/// The cycle after `cycle`; one that would look like the magic of a header is left out.
[[nodiscard]] constexpr std::uint32_t next_log_cycle(std::uint32_t cycle) {
  return cycle + 1 == LogRecordHeader::kMagic ? cycle + 2 : cycle + 1;
}

struct LogStamp {
  std::uint32_t cycle = 0;
  /// 512-byte blocks from the record's first to the end of the log; what is behind belongs to the next cycle.
  std::uint32_t blocks_to_end = 0;

  /// Of block `index` of the record, headers included.
  [[nodiscard]] constexpr std::uint32_t cycle_of(std::size_t index) const {
    return index < blocks_to_end ? cycle : next_log_cycle(cycle);
  }
};
/// The reverse: moves the first word of each block of `data` into `headers` and stamps its cycle, and those of the
/// further headers. Asserts that `headers` are enough.
void stamp_cycle_words(MutableByteSpan data, MutableByteSpan headers, const LogStamp& stamp);

/// Checks the operation header at the start of `rest`, which is what remains of the record's data with its words
/// restored: client, flags, and that its body lies inside.
[[nodiscard]] Flaws verify_log_op(ByteSpan rest);

/// Checks the body of an unmount operation, which may be empty, and the first region of a transaction.
[[nodiscard]] Flaws verify_unmount_record(ByteSpan body);
[[nodiscard]] Flaws verify_transaction_header(ByteSpan region);

}  // namespace xdax
