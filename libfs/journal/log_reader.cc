#include "libfs/journal/log_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "libfs/base/error.h"
#include "libfs/journal/log_ring.h"

namespace xdax {
namespace {

// A kernel has at most eight records in flight, so that only this much before the head may have arrived out of order.
constexpr std::uint32_t kRecordsInFlight = 8;
constexpr std::uint32_t kWindowBlocks = kRecordsInFlight * (limits::kMaxLogRecordBytes / kBasicBlockBytes);
// The header blocks and the data of the largest record.
constexpr std::uint32_t kMaxRecordBlocks =
    log_header_blocks(limits::kMaxLogRecordBytes) + limits::kMaxLogRecordBytes / kBasicBlockBytes;

// The reverse of next_log_cycle().
std::uint32_t cycle_before(std::uint32_t cycle) { return cycle - 1 == LogRecordHeader::kMagic ? cycle - 2 : cycle - 1; }

// What makes a log undecidable; caught in read_log_summary().
struct Undecidable {
  std::string why;
};

struct Record {
  Lsn lsn;
  Lsn tail;
  std::uint32_t blocks = 0;
  bool sound = false;         // all of it verifies
  bool bad_checksum = false;  // everything but the checksum verifies
  bool unmount = false;
};

class Scanner {
 public:
  Scanner(Device& device, const LogPlace& place, LogSummary& summary)
      : ring_(device, place), place_(place), summary_(summary) {}

  void run() {
    if (place_.blocks < 4) throw Undecidable{fmt::format("it has only {} blocks", place_.blocks)};
    if (!find_end_of_newest_cycle()) return;
    const Record last = find_last_record();
    summary_.last_record = last.lsn;
    summary_.head = after(last);
    if (last.unmount) {
      summary_.state = LogState::kClean;
      summary_.tail = summary_.head;
      return;
    }
    summary_.tail = last.tail;
    summary_.state = LogState::kDirty;
    follow(last.tail, *summary_.head);
  }

 private:
  ByteSpan read(std::uint32_t first, std::uint32_t count) { return ring_.read(first, count); }
  [[nodiscard]] std::uint32_t ring(std::uint64_t block) const { return ring_.wrap(block); }

  static std::uint32_t cycle_of(ByteSpan block) {
    const std::uint32_t word = view<be32>(block);
    return word == LogRecordHeader::kMagic ? std::uint32_t{view<be32>(block, sizeof(be32))} : word;
  }
  std::uint32_t cycle_at(std::uint32_t block) { return cycle_of(read(block, 1)); }

  // The first block of [first, first + count), which does not go around, that is of `cycle`.
  std::optional<std::uint32_t> first_of_cycle_in(std::uint32_t first, std::uint32_t count, std::uint32_t cycle) {
    const ByteSpan bytes = read(first, count);
    for (std::uint32_t i = 0; i < count; ++i) {
      if (cycle_of(bytes.subspan(std::size_t{i} * kBasicBlockBytes)) == cycle) return first + i;
    }
    return std::nullopt;
  }

  // Sets end_ to the block after the newest one that was written in order, from the cycles alone. False when the log
  // was never used.
  bool find_end_of_newest_cycle() {
    const std::uint32_t first = cycle_at(0);
    const std::uint32_t last = cycle_at(place_.blocks - 1);
    if (first == 0) {
      require_all_zero();
      summary_.state = LogState::kZeroed;
      return false;
    }
    first_turn_ = last == 0;
    if (first == last) {
      // Full to the brim: the next record starts over, unless blocks before the end have not arrived.
      end_ = place_.blocks;
      settle_window(cycle_before(last));
      return true;
    }
    const bool in_step = first == next_log_cycle(last);
    // The record that starts the next turn may arrive before the one that ends this turn.
    const bool two_ahead = last != 0 && first == next_log_cycle(next_log_cycle(last));
    if (!in_step && !two_ahead) {
      throw Undecidable{fmt::format("it begins in cycle {} and ends in cycle {}", first, last)};
    }
    end_ = first_of_cycle(last);
    settle_window(last);
    return true;
  }

  void require_all_zero() {
    for (std::uint32_t at = 0; at < place_.blocks; at += kWindowBlocks) {
      const std::uint32_t count = std::min(kWindowBlocks, place_.blocks - at);
      if (!all_zero(read(at, count))) throw Undecidable{"its first block is empty, but a later one is not"};
    }
  }

  // The lowest block from which on everything is of `cycle`, the oldest. Block 0 is not, the last one is.
  std::uint32_t first_of_cycle(std::uint32_t cycle) {
    std::uint32_t other = 0;
    std::uint32_t same = place_.blocks - 1;
    while (same - other > 1) {
      const std::uint32_t middle = other + (same - other) / 2;
      (cycle_at(middle) == cycle ? same : other) = middle;
    }
    return same;
  }

  // Moves end_ back to the first block of the window before it that has not arrived: one that is still of the cycle
  // before, `stale`. Before the start of the ring the window goes on at its end, where a stale block is older by one
  // more.
  void settle_window(std::uint32_t stale) {
    const std::uint32_t written_end = end_;
    const std::uint32_t low = end_ - std::min(end_, kWindowBlocks);
    end_ = first_of_cycle_in(low, end_ - low, stale).value_or(end_);
    if (written_end >= kWindowBlocks || written_end == place_.blocks || stale == 0) return;
    const std::uint32_t wanted = kWindowBlocks - written_end;
    const std::uint32_t from = std::max(written_end, place_.blocks - std::min(place_.blocks, wanted));
    if (const auto hole = first_of_cycle_in(from, place_.blocks - from, cycle_before(stale))) end_ = *hole;
  }

  // The last record before end_ that is whole. Those behind it were in flight.
  Record find_last_record() {
    for (std::uint32_t torn = 0; torn <= kRecordsInFlight + 1; ++torn) {
      const std::optional<std::uint32_t> at = last_header_before(end_);
      if (!at) break;
      const Record record = read_record(*at);
      if (record.sound && ring(std::uint64_t{*at} + record.blocks) == ring(end_)) {
        summary_.torn_records = torn;
        return record;
      }
      end_ = *at;
      if (end_ == 0) end_ = place_.blocks;
    }
    throw Undecidable{fmt::format("no whole record ends at or before block {}", end_)};
  }

  std::optional<std::uint32_t> last_header_before(std::uint32_t end) {
    const std::uint32_t reach = std::min(kMaxRecordBlocks, first_turn_ ? end : place_.blocks - 1);
    if (reach == 0) return std::nullopt;
    const std::uint32_t first = ring(std::uint64_t{end} + place_.blocks - reach);
    const ByteSpan bytes = read(first, reach);
    for (std::uint32_t i = reach; i-- > 0;) {
      const auto& header = view<LogRecordHeader>(bytes, std::size_t{i} * kBasicBlockBytes);
      if (header.magicno == LogRecordHeader::kMagic && !header.blank()) return ring(std::uint64_t{first} + i);
    }
    return std::nullopt;
  }

  // Reads and verifies the record at `block`. `blocks` is 0 when not even its size can be believed.
  Record read_record(std::uint32_t block) {
    Record record;
    const ByteSpan header_bytes = read(block, 1);
    if (!sound_but_for_uuid(verify_log_record_header(header_bytes, ring_.expectation(block)))) return record;
    const auto header = view<LogRecordHeader>(header_bytes);
    if (header.blank()) return record;
    record.lsn = Lsn::decode(header.lsn);
    record.tail = Lsn::decode(header.tail_lsn);
    const std::uint32_t header_blocks = log_header_blocks(header.size);
    record.blocks = header_blocks + header.len / kBasicBlockBytes;
    if (record.blocks > place_.blocks) return record;
    const ByteSpan bytes = read(block, record.blocks);
    const Flaws flaws = verify_log_record(bytes, ring_.expectation(block));
    const bool checksum_only = std::all_of(flaws.begin(), flaws.end(), [](const Flaw& flaw) {
      return flaw.kind == FlawKind::kUuid || flaw.kind == FlawKind::kChecksum;
    });
    record.bad_checksum = checksum_only && flaws.has(FlawKind::kChecksum);
    record.sound = checksum_only && !flaws.has(FlawKind::kChecksum);
    const auto& op = view<LogOpHeader>(bytes, std::size_t{header_blocks} * kBasicBlockBytes);
    record.unmount = header.num_logops == 1 && (op.flags & log_op_flags::kUnmount) != 0;
    if (record.sound && header.fmt != log_formats::kLinuxLittle) summary_.foreign_byte_order = true;
    return record;
  }

  bool sound_but_for_uuid(const Flaws& flaws) {
    for (const Flaw& flaw : flaws) {
      if (flaw.kind != FlawKind::kUuid) return false;
      summary_.uuid_matches = false;
    }
    return true;
  }

  [[nodiscard]] Lsn after(const Record& record) const { return ring_.after(record.lsn, record.blocks); }

  // Goes from record to record. Each must start where the one before it ends.
  void follow(Lsn tail, Lsn head) {
    std::uint64_t left = ring_.distance(tail, head);
    Lsn at = tail;
    while (left > 0) {
      const Record record = read_record(at.block);
      const bool continues = (record.sound || record.bad_checksum) && record.lsn == at && record.blocks <= left;
      if (!continues) {
        summary_.state = LogState::kDamaged;
        summary_.first_bad = summary_.first_bad.value_or(at);
        summary_.detail =
            fmt::format("there is no whole record at cycle {} block {}, between tail and head", at.cycle, at.block);
        return;
      }
      if (record.bad_checksum) {
        ++summary_.bad_checksums;
        summary_.first_bad = summary_.first_bad.value_or(at);
      }
      ++summary_.records;
      left -= record.blocks;
      at = after(record);
    }
  }

  LogRing ring_;
  const LogPlace& place_;
  LogSummary& summary_;
  std::uint32_t end_ = 0;    // 1 to place_.blocks: the block after the newest one
  bool first_turn_ = false;  // the ring has never been filled
};

}  // namespace

LogPlace LogPlace::of(const Geometry& geometry) {
  return {.offset_bytes = geometry.byte_of(geometry.log_start),
          .blocks = geometry.log_blocks << (geometry.block_log - kBasicBlockLog),
          .user_uuid = geometry.user_uuid};
}

const char* to_string(LogState state) {
  switch (state) {
    case LogState::kClean:
      return "clean";
    case LogState::kDirty:
      return "dirty";
    case LogState::kZeroed:
      return "zeroed";
    case LogState::kDamaged:
      return "damaged";
    case LogState::kUnreadable:
      return "unreadable";
  }
  return "unknown";
}

LogSummary read_log_summary(Device& device, const LogPlace& place) {
  LogSummary summary;
  try {
    Scanner(device, place, summary).run();
  } catch (const Undecidable& undecidable) {
    summary.state = LogState::kDamaged;
    summary.detail = undecidable.why;
  } catch (const IoError& error) {
    summary.state = LogState::kUnreadable;
    summary.detail = error.what();
  }
  return summary;
}

}  // namespace xdax
