#include "libfs/format/log_record.h"

#include <algorithm>

#include "libfs/base/crc32c.h"

namespace xdax {
namespace {

constexpr std::uint32_t kBlock = kBasicBlockBytes;
constexpr std::uint32_t kCrcOffset = offsetof(LogRecordHeader, crc);

// The words that block `index` of the data displaced: in the first header, or in a further one.
std::size_t cycle_word_offset(std::size_t index) {
  const std::size_t header = index / LogRecordHeader::kCycleWords;
  const std::size_t word = index % LogRecordHeader::kCycleWords;
  const std::size_t words =
      header == 0 ? offsetof(LogRecordHeader, cycle_data) : offsetof(LogExtendedHeader, cycle_data);
  return header * kBlock + words + word * sizeof(be32);
}

class HeaderCheck {
 public:
  HeaderCheck(const LogRecordHeader& header, const LogRecordExpectation& expected, Flaws& flaws)
      : header_(header), expected_(expected), flaws_(flaws) {}

  void identity() {
    if (header_.version != LogRecordHeader::kVersion) {
      flaw(FlawKind::kVersion, "log.version", offsetof(LogRecordHeader, version), header_.version,
           LogRecordHeader::kVersion, "version 2");
    }
    if (header_.fmt < log_formats::kLinuxLittle || header_.fmt > log_formats::kIrixBig) {
      flaw(FlawKind::kRange, "log.fmt", offsetof(LogRecordHeader, fmt), header_.fmt, log_formats::kLinuxLittle,
           "a known byte order");
    }
    if (header_.fs_uuid != expected_.user_uuid) {
      flaw(FlawKind::kUuid, "log.fs_uuid", offsetof(LogRecordHeader, fs_uuid), 0, 0, "the uuid of this filesystem");
    }
  }

  void places() {
    const Lsn lsn = Lsn::decode(header_.lsn);
    if (lsn.block != expected_.block || lsn.block >= expected_.log_blocks) {
      flaw(FlawKind::kSelfAddress, "log.lsn", offsetof(LogRecordHeader, lsn), lsn.block, expected_.block,
           "its own block, inside the log");
    }
    if (lsn.cycle != header_.cycle) {
      flaw(FlawKind::kConsistency, "log.lsn", offsetof(LogRecordHeader, lsn), lsn.cycle, header_.cycle,
           "the cycle of the header");
    }
    // A blank header belongs to the cycle before, which at the first filling of the log is cycle 0.
    if (header_.blank()) return;
    if (header_.cycle == 0) {
      flaw(FlawKind::kRange, "log.cycle", offsetof(LogRecordHeader, cycle), 0, 1, "at least 1");
    }
    const Lsn tail = Lsn::decode(header_.tail_lsn);
    const bool near = tail.cycle == lsn.cycle || tail.cycle + std::uint64_t{1} == lsn.cycle;
    if (tail > lsn || !near || tail.block >= expected_.log_blocks) {
      flaw(FlawKind::kRange, "log.tail_lsn", offsetof(LogRecordHeader, tail_lsn), header_.tail_lsn, header_.lsn,
           "inside the log and at most one turn behind the record");
    }
    if (header_.prev_block != LogRecordHeader::kNoPrevious && header_.prev_block >= expected_.log_blocks) {
      flaw(FlawKind::kPointer, "log.prev_block", offsetof(LogRecordHeader, prev_block), header_.prev_block,
           expected_.log_blocks, "a block of the log or none");
    }
  }

  void sizes() {
    if (header_.blank()) return;
    const std::uint32_t size = header_.size;
    const std::uint32_t len = header_.len;
    if (size == 0 || size > limits::kMaxLogRecordBytes || size % kBlock != 0) {
      flaw(FlawKind::kRange, "log.size", offsetof(LogRecordHeader, size), size, limits::kMaxLogRecordBytes,
           "whole blocks, at most 256 KiB");
    }
    // Formatting with a large log stripe wrote one record larger than the size beside it.
    const std::uint32_t most = header_.num_logops == 1 ? limits::kMaxLogRecordBytes : size;
    if (len == 0 || len > most || len % kBlock != 0) {
      flaw(FlawKind::kRange, "log.len", offsetof(LogRecordHeader, len), len, most, "whole blocks, at most size");
    }
    if (header_.num_logops == 0 || header_.num_logops > len / sizeof(LogOpHeader)) {
      flaw(FlawKind::kCount, "log.num_logops", offsetof(LogRecordHeader, num_logops), header_.num_logops,
           len / sizeof(LogOpHeader), "one operation to as many as fit len");
    }
    const std::uint64_t blocks = std::uint64_t{log_header_blocks(size)} + len / kBlock;
    if (blocks > expected_.log_blocks) {
      flaw(FlawKind::kRange, "log.len", offsetof(LogRecordHeader, len), len, expected_.log_blocks, "inside the log");
    }
  }

 private:
  void flaw(FlawKind kind, const char* field, std::size_t offset_bytes, std::uint64_t found, std::uint64_t expected,
            const char* rule) {
    flaws_.add({kind, field, static_cast<std::uint32_t>(offset_bytes), found, expected, rule});
  }

  const LogRecordHeader& header_;
  const LogRecordExpectation& expected_;
  Flaws& flaws_;
};

void check_checksum(Flaws& flaws, const LogRecordHeader& header, ByteSpan headers, ByteSpan data) {
  const std::uint32_t computed = log_record_checksum(headers, data, kLogHeaderBytes64);
  if (header.crc == computed || header.crc == log_record_checksum(headers, data, kLogHeaderBytes32)) return;
  if (header.crc == 0 && header.num_logops == 1) return;
  flaws.add({FlawKind::kChecksum, "log.crc", kCrcOffset, header.crc, computed, "the checksum of the record"});
}

void check_cycles(Flaws& flaws, const LogStamp& stamp, ByteSpan headers, ByteSpan data) {
  const auto check = [&](ByteSpan bytes, std::size_t at, std::size_t base) {
    const std::uint32_t cycle = view<be32>(bytes, at);
    const std::uint32_t expected = stamp.cycle_of((base + at) / kBlock);
    if (cycle != expected) {
      flaws.add({FlawKind::kSequence, "log.cycle", static_cast<std::uint32_t>(base + at), cycle, expected,
                 "the cycle of the record, the next one behind the end of the log"});
    }
  };
  for (std::size_t at = kBlock; at < headers.size(); at += kBlock) check(headers, at, 0);
  for (std::size_t at = 0; at < data.size(); at += kBlock) check(data, at, headers.size());
}

}  // namespace

Flaws verify_log_record_header(ByteSpan block, const LogRecordExpectation& expected) {
  Flaws flaws;
  const auto& header = view<LogRecordHeader>(block);
  if (header.magicno != LogRecordHeader::kMagic) {
    flaws.add(
        {FlawKind::kMagic, "log.magicno", 0, header.magicno, LogRecordHeader::kMagic, "the magic of a log record"});
    return flaws;
  }
  HeaderCheck check(header, expected, flaws);
  check.identity();
  check.places();
  check.sizes();
  return flaws;
}

std::uint32_t log_record_checksum(ByteSpan headers, ByteSpan data, std::uint32_t header_bytes) {
  XDAX_ASSERT(header_bytes <= headers.size() && header_bytes > kCrcOffset + sizeof(le32));
  constexpr std::byte kZero[sizeof(le32)] = {};
  std::uint32_t running = crc32c_update(~0u, headers.first(kCrcOffset));
  running = crc32c_update(running, kZero);
  const std::size_t after = kCrcOffset + sizeof(le32);
  running = crc32c_update(running, headers.subspan(after, header_bytes - after));
  const std::size_t covered = div_ceil(data.size(), std::size_t{limits::kLogBytesPerHeader});
  for (std::size_t i = 1; i < covered && (i + 1) * kBlock <= headers.size(); ++i) {
    running = crc32c_update(running, headers.subspan(i * kBlock, sizeof(LogExtendedHeader)));
  }
  return ~crc32c_update(running, data);
}

Flaws verify_log_record(ByteSpan record, const LogRecordExpectation& expected) {
  Flaws flaws = verify_log_record_header(record, expected);
  if (flaws.has(FlawKind::kMagic) || flaws.has(FlawKind::kRange) || flaws.has(FlawKind::kCount)) return flaws;
  const auto& header = view<LogRecordHeader>(record);
  if (header.blank()) return flaws;
  const std::size_t header_bytes = std::size_t{log_header_blocks(header.size)} * kBlock;
  if (header_bytes > record.size() || header.len > record.size() - header_bytes) {
    flaws.add({FlawKind::kRange, "log.len", offsetof(LogRecordHeader, len), header.len, record.size(),
               "inside the bytes that are there"});
    return flaws;
  }
  const ByteSpan headers = record.first(header_bytes);
  const ByteSpan data = record.subspan(header_bytes, header.len);
  check_checksum(flaws, header, headers, data);
  check_cycles(flaws, {.cycle = header.cycle, .blocks_to_end = expected.log_blocks - expected.block}, headers, data);
  return flaws;
}

void restore_cycle_words(MutableByteSpan data, ByteSpan headers) {
  const std::size_t described = headers.size() / kBlock * limits::kLogBytesPerHeader;
  for (std::size_t at = 0; at < std::min(data.size(), described); at += kBlock) {
    mutable_view<be32>(data, at) = view<be32>(headers, cycle_word_offset(at / kBlock)).get();
  }
}

void stamp_cycle_words(MutableByteSpan data, MutableByteSpan headers, const LogStamp& stamp) {
  const std::size_t header_blocks = headers.size() / kBlock;
  for (std::size_t at = 0; at < data.size(); at += kBlock) {
    auto& word = mutable_view<be32>(data, at);
    mutable_view<be32>(headers, cycle_word_offset(at / kBlock)) = word.get();
    word = stamp.cycle_of(header_blocks + at / kBlock);
  }
  for (std::size_t at = kBlock; at < headers.size(); at += kBlock) {
    mutable_view<LogExtendedHeader>(headers, at).cycle = stamp.cycle_of(at / kBlock);
  }
}

Flaws verify_log_op(ByteSpan rest) {
  Flaws flaws;
  if (rest.size() < sizeof(LogOpHeader)) {
    flaws.add({FlawKind::kRange, "op", 0, rest.size(), sizeof(LogOpHeader), "room for an operation header"});
    return flaws;
  }
  const auto& op = view<LogOpHeader>(rest);
  if (op.clientid != log_clients::kTransaction && op.clientid != log_clients::kLog) {
    flaws.add({FlawKind::kRange, "op.clientid", offsetof(LogOpHeader, clientid), op.clientid, log_clients::kTransaction,
               "a known client"});
  }
  if ((op.flags & ~log_op_flags::kKnown) != 0) {
    flaws.add({FlawKind::kReserved, "op.flags", offsetof(LogOpHeader, flags), op.flags, log_op_flags::kKnown,
               "known flags only"});
  }
  const std::size_t room = rest.size() - sizeof(LogOpHeader);
  if (op.len > room || op.len % sizeof(be32) != 0) {
    flaws.add({FlawKind::kRange, "op.len", offsetof(LogOpHeader, len), op.len, room, "whole words inside the record"});
  }
  return flaws;
}

Flaws verify_unmount_record(ByteSpan body) {
  Flaws flaws;
  if (body.empty()) return flaws;
  if (body.size() < sizeof(UnmountRecord)) {
    flaws.add({FlawKind::kRange, "unmount", 0, body.size(), sizeof(UnmountRecord), "8 bytes, or none"});
    return flaws;
  }
  const auto& record = view<UnmountRecord>(body);
  if (record.magic != UnmountRecord::kMagic) {
    flaws.add(
        {FlawKind::kMagic, "unmount.magic", 0, record.magic, UnmountRecord::kMagic, "the magic of an unmount record"});
  }
  return flaws;
}

Flaws verify_transaction_header(ByteSpan region) {
  Flaws flaws;
  if (region.size() != sizeof(TransactionHeader)) {
    flaws.add({FlawKind::kRange, "trans", 0, region.size(), sizeof(TransactionHeader), "16 bytes"});
    return flaws;
  }
  const auto& header = view<TransactionHeader>(region);
  if (header.magic != TransactionHeader::kMagic) {
    flaws.add(
        {FlawKind::kMagic, "trans.magic", 0, header.magic, TransactionHeader::kMagic, "the magic of a transaction"});
  }
  return flaws;
}

}  // namespace xdax
