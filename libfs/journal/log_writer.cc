#include "libfs/journal/log_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "libfs/base/error.h"
#include "libfs/base/math.h"

namespace xdax {
namespace {

constexpr std::uint32_t kUnmountTransaction = 0xb0c0d0d0;  // any number: no other operation is in the record
// Eight records of the greatest length.
constexpr std::uint32_t kStaleBlocks = (2u << 20) / kBasicBlockBytes;
constexpr std::uint32_t kLeastRecordBytes = 16u << 10;  // no mount has smaller ones
constexpr std::size_t kRecordsInFlight = 8;
constexpr std::uint64_t kLargeLogBytes = 8ull << 20;

// Logs a mount could not work with larger records in are small.
std::uint32_t largest_record(const Geometry& geometry) {
  const std::uint64_t log_bytes = std::uint64_t{geometry.log_blocks} << geometry.block_log;
  const std::uint32_t size = log_bytes >= kLargeLogBytes ? limits::kMaxLogRecordBytes : limits::kLogBytesPerHeader;
  return std::max(geometry.log_stripe_bytes, size);
}

}  // namespace

LogWriter::LogWriter(Device& device, const Geometry& geometry, Lsn head)
    : device_(device),
      place_(LogPlace::of(geometry)),
      ring_(device, place_),
      head_(head),
      unit_bytes_(std::max(geometry.log_stripe_bytes, kBasicBlockBytes)),
      record_bytes_(round_down(largest_record(geometry), unit_bytes_)),
      header_bytes_(log_header_blocks(record_bytes_) * kBasicBlockBytes) {}

LogWriter::LogWriter(Device& device, const Geometry& geometry, Lsn head, const LogWalkResult& walk)
    : LogWriter(device, geometry, head) {
  // A mount takes the size of the first record for that of all, and the number of their headers from it.
  const std::uint32_t size = round_down(walk.record_bytes, unit_bytes_);
  if (size < kLeastRecordBytes) {
    throw RefusalError(Errc::kNotSupported,
                       fmt::format("{}: the log has records of only {} bytes and cannot be gone on with", device.name(),
                                   walk.record_bytes));
  }
  record_bytes_ = std::min(size, limits::kMaxLogRecordBytes);
  header_bytes_ = log_header_blocks(record_bytes_) * kBasicBlockBytes;
  tid_ = walk.free_tid;
}

std::uint64_t LogWriter::used_blocks(Lsn tail) const { return tail == head_ ? 0 : ring_.distance(tail, head_); }

std::uint64_t LogWriter::blocks_for(std::uint64_t regions, std::uint64_t bytes) const {
  // Start, transaction header, commit; a record may lose the room of an operation's header at its end, and every body
  // that goes on has a header more.
  constexpr std::uint64_t kHeader = sizeof(LogOpHeader);
  const std::uint64_t stream = bytes + (regions + 4) * kHeader + sizeof(TransactionHeader);
  const std::uint64_t records = div_ceil(stream, data_room() - 2 * kHeader) + 1;
  return (stream + records * (2 * kHeader + header_bytes_ + unit_bytes_)) / kBasicBlockBytes + 1;
}

LogRecordHeader LogWriter::header(const Lsn& lsn, const Lsn& tail) const {
  LogRecordHeader header{};
  header.magicno = LogRecordHeader::kMagic;
  header.cycle = lsn.cycle;
  header.version = LogRecordHeader::kVersion;
  header.lsn = lsn.encode();
  header.tail_lsn = tail.encode();
  header.prev_block = LogRecordHeader::kNoPrevious;
  header.fmt = log_formats::kLinuxLittle;
  header.fs_uuid = place_.user_uuid;
  return header;
}

void LogWriter::start_record() {
  Record record;
  record.bytes.resize(record_bytes_);
  records_.push_back(std::move(record));
}

// Room for an operation of `bytes` in the last record, its header filled in.
MutableByteSpan LogWriter::claim(std::uint8_t flags, std::size_t bytes) {
  Record& record = records_.back();
  const std::size_t at = header_bytes_ + record.used;
  auto& operation = mutable_view<LogOpHeader>(MutableByteSpan(record.bytes), at);
  operation.tid = tid_;
  operation.len = static_cast<std::uint32_t>(bytes);
  operation.clientid = log_clients::kTransaction;
  operation.flags = flags;
  record.used += sizeof(LogOpHeader) + bytes;
  ++record.operations;
  return MutableByteSpan(record.bytes).subspan(at + sizeof(LogOpHeader), bytes);
}

void LogWriter::add_operation(std::uint8_t flags, ByteSpan body) {
  std::uint8_t continued = 0;
  for (;;) {
    const std::size_t left = data_room() - records_.back().used;
    const std::size_t least = sizeof(LogOpHeader) + std::min<std::size_t>(body.size(), sizeof(be32));
    if (left < least) {
      start_record();
      continue;
    }
    const std::size_t room = round_down(left - sizeof(LogOpHeader), sizeof(be32));
    if (body.size() <= room) {
      const std::uint8_t end = continued != 0 ? log_op_flags::kEnd : 0;
      const MutableByteSpan target = claim(flags | continued | end, body.size());
      std::copy(body.begin(), body.end(), target.begin());
      return;
    }
    const MutableByteSpan target = claim(flags | continued | log_op_flags::kContinue, room);
    std::copy_n(body.begin(), room, target.begin());
    body = body.subspan(room);
    continued = log_op_flags::kWasContinued;
    start_record();
  }
}

Lsn LogWriter::seal_record(Record& record, Lsn at, Lsn tail, std::uint32_t previous, std::uint32_t size) const {
  record.bytes.resize(round_up(header_bytes_ + round_up(record.used, kBasicBlockBytes), unit_bytes_));
  const MutableByteSpan headers = MutableByteSpan(record.bytes).first(header_bytes_);
  const MutableByteSpan data = MutableByteSpan(record.bytes).subspan(header_bytes_);
  auto& stored = mutable_view<LogRecordHeader>(headers);
  stored = header(at, tail);
  stored.len = static_cast<std::uint32_t>(data.size());
  stored.num_logops = record.operations;
  stored.prev_block = previous;
  stored.size = size;
  stamp_cycle_words(data, headers, {.cycle = at.cycle, .blocks_to_end = place_.blocks - at.block});
  stored.crc = log_record_checksum(headers, data, kLogHeaderBytes64);
  return ring_.after(at, static_cast<std::uint32_t>(record.bytes.size() / kBasicBlockBytes));
}

void LogWriter::write_transaction(std::span<const LogItem> items, Lsn tail) {
  records_.clear();
  start_record();
  ++tid_;
  std::uint32_t regions = 0;
  for (const LogItem& item : items) regions += static_cast<std::uint32_t>(item.regions.size());
  TransactionHeader transaction{};
  transaction.magic = TransactionHeader::kMagic;
  transaction.type = TransactionHeader::kCheckpoint;
  transaction.tid = tid_;
  transaction.num_items = regions;
  add_operation(log_op_flags::kStart, {});
  add_operation(0, std::as_bytes(std::span(&transaction, 1)));
  for (const LogItem& item : items) {
    for (const LogRegion& region : item.regions) add_operation(0, region);
  }
  add_operation(log_op_flags::kCommit, {});

  clear_unfinished(tail);
  unfinished_blocks_ = records_.size() * (record_bytes_ / kBasicBlockBytes);
  Lsn at = head_;
  std::uint32_t previous = previous_;
  std::size_t in_flight = 0;
  for (Record& record : records_) {
    const Lsn next = seal_record(record, at, tail, previous, record_bytes_);
    if (in_flight == kRecordsInFlight) {
      device_.persist();
      in_flight = 0;
    }
    write(at.block, record.bytes);
    ++in_flight;
    previous = at.block;
    at = next;
  }
  device_.persist();
  records_.clear();
  unfinished_blocks_ = 0;
  previous_ = previous;
  head_ = at;
}

// Records of an attempt that failed are of this turn: behind a shorter second attempt a reader would go on with them.
void LogWriter::clear_unfinished(Lsn tail) {
  if (unfinished_blocks_ == 0) return;
  write_blank(head_, std::min(unfinished_blocks_, log_blocks() - used_blocks(tail)), tail);
  device_.persist();
  unfinished_blocks_ = 0;
}

void LogWriter::write_unmount(bool clear) {
  clear_unfinished(head_);
  const std::uint32_t size = std::max(unit_bytes_, limits::kLogBytesPerHeader);
  const std::uint32_t header_bytes = log_header_blocks(size) * kBasicBlockBytes;
  std::vector<std::byte> record(round_up(header_bytes + kBasicBlockBytes, unit_bytes_));
  const MutableByteSpan headers = MutableByteSpan(record).first(header_bytes);
  const MutableByteSpan data = MutableByteSpan(record).subspan(header_bytes);
  auto& stored = mutable_view<LogRecordHeader>(headers);
  stored = header(head_, head_);
  stored.len = static_cast<std::uint32_t>(data.size());
  stored.num_logops = 1;
  stored.prev_block = previous_;
  stored.size = size;
  auto& operation = mutable_view<LogOpHeader>(data);
  operation.tid = kUnmountTransaction;
  operation.len = sizeof(UnmountRecord);
  operation.clientid = log_clients::kLog;
  operation.flags = log_op_flags::kUnmount;
  mutable_view<UnmountRecord>(data, sizeof(LogOpHeader)).magic = UnmountRecord::kMagic;
  stamp_cycle_words(data, headers, {.cycle = head_.cycle, .blocks_to_end = place_.blocks - head_.block});
  stored.crc = log_record_checksum(headers, data, kLogHeaderBytes64);
  write(head_.block, record);
  const auto blocks = static_cast<std::uint32_t>(record.size() / kBasicBlockBytes);
  const Lsn tail = head_;
  previous_ = head_.block;
  head_ = ring_.after(head_, blocks);
  if (clear) write_blank(head_, std::min(kStaleBlocks, place_.blocks - std::min(place_.blocks, blocks + 1)), tail);
}

void LogWriter::clear_ahead(Lsn tail) {
  write_blank(head_, std::min<std::uint64_t>(kStaleBlocks, log_blocks() - used_blocks(tail)), tail);
  device_.persist();
}

// Headers without data, of the turn before (0 in the first one, as a mount does it): nothing there can be taken for a
// record that follows.
void LogWriter::write_blank(Lsn at, std::uint64_t blocks, Lsn tail) {
  for (std::uint64_t left = blocks; left > 0;) {
    const auto run =
        static_cast<std::uint32_t>(std::min<std::uint64_t>({left, place_.blocks - at.block, kStaleBlocks}));
    const std::uint32_t before = at.cycle - 1 == LogRecordHeader::kMagic ? at.cycle - 2 : at.cycle - 1;
    std::vector<std::byte> blank(std::size_t{run} * kBasicBlockBytes);
    for (std::uint32_t i = 0; i < run; ++i) {
      mutable_view<LogRecordHeader>(MutableByteSpan(blank), std::size_t{i} * kBasicBlockBytes) =
          header({.cycle = before, .block = at.block + i}, tail);
    }
    write(at.block, blank);
    left -= run;
    at = ring_.after(at, run);
  }
}

void LogWriter::write(std::uint32_t first, ByteSpan bytes) {
  const std::size_t before_end = std::min(bytes.size(), std::size_t{place_.blocks - first} * kBasicBlockBytes);
  device_.write(place_.offset_bytes + std::uint64_t{first} * kBasicBlockBytes, bytes.first(before_end));
  if (before_end < bytes.size()) device_.write(place_.offset_bytes, bytes.subspan(before_end));
}

}  // namespace xdax
