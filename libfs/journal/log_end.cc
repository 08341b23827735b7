#include "libfs/journal/log_end.h"

#include <algorithm>
#include <vector>

#include "libfs/base/math.h"
#include "libfs/format/log_record.h"
#include "libfs/journal/log_ring.h"

namespace xdax {
namespace {

constexpr std::uint32_t kUnmountTransaction = 0xb0c0d0d0;  // any number: no other operation is in the record
constexpr std::uint32_t kStaleBytes = 2u << 20;            // eight records of the greatest length

class End {
 public:
  End(Device& device, const Geometry& geometry, const LogSummary& summary)
      : device_(device),
        place_(LogPlace::of(geometry)),
        ring_(device, place_),
        geometry_(geometry),
        head_(*summary.head) {}

  void run() {
    const std::uint32_t blocks = unmount_record();
    clear_ahead(ring_.after(head_, blocks), blocks);
  }

 private:
  [[nodiscard]] LogRecordHeader header(const Lsn& lsn, const Lsn& tail) const {
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

  // Returns its blocks. Whole stripe units, where the log has them.
  std::uint32_t unmount_record() {
    const std::uint32_t size = std::max(geometry_.log_stripe_bytes, limits::kLogBytesPerHeader);
    const std::uint32_t header_bytes = log_header_blocks(size) * kBasicBlockBytes;
    const std::uint32_t unit = std::max(geometry_.log_stripe_bytes, kBasicBlockBytes);
    const std::uint32_t bytes = round_up(header_bytes + kBasicBlockBytes, unit);
    std::vector<std::byte> record(bytes);
    auto& stored = mutable_view<LogRecordHeader>(MutableByteSpan(record));
    stored = header(head_, head_);
    stored.len = bytes - header_bytes;
    stored.num_logops = 1;
    stored.size = size;
    const MutableByteSpan headers = MutableByteSpan(record).first(header_bytes);
    const MutableByteSpan data = MutableByteSpan(record).subspan(header_bytes);
    auto& operation = mutable_view<LogOpHeader>(data);
    operation.tid = kUnmountTransaction;
    operation.len = sizeof(UnmountRecord);
    operation.clientid = log_clients::kLog;
    operation.flags = log_op_flags::kUnmount;
    mutable_view<UnmountRecord>(data, sizeof(LogOpHeader)).magic = UnmountRecord::kMagic;
    stamp_cycle_words(data, headers, {.cycle = head_.cycle, .blocks_to_end = place_.blocks - head_.block});
    stored.crc = log_record_checksum(headers, data, kLogHeaderBytes64);
    write(head_.block, record);
    return bytes / kBasicBlockBytes;
  }

  // Headers without data, of the turn before (0 in the first one, as a mount does it): nothing there can be taken for a
  // record that follows.
  void clear_ahead(Lsn at, std::uint32_t record_blocks) {
    const std::uint32_t most = place_.blocks - std::min(place_.blocks, record_blocks + 1);
    for (std::uint32_t left = std::min(kStaleBytes / kBasicBlockBytes, most); left > 0;) {
      const std::uint32_t run = std::min(left, place_.blocks - at.block);
      const std::uint32_t before = at.cycle - 1 == LogRecordHeader::kMagic ? at.cycle - 2 : at.cycle - 1;
      std::vector<std::byte> blank(std::size_t{run} * kBasicBlockBytes);
      for (std::uint32_t i = 0; i < run; ++i) {
        mutable_view<LogRecordHeader>(MutableByteSpan(blank), std::size_t{i} * kBasicBlockBytes) =
            header({.cycle = before, .block = at.block + i}, head_);
      }
      write(at.block, blank);
      left -= run;
      at = ring_.after(at, run);
    }
  }

  void write(std::uint32_t first, ByteSpan bytes) {
    const std::size_t before_end = std::min(bytes.size(), std::size_t{place_.blocks - first} * kBasicBlockBytes);
    device_.write(place_.offset_bytes + std::uint64_t{first} * kBasicBlockBytes, bytes.first(before_end));
    if (before_end < bytes.size()) device_.write(place_.offset_bytes, bytes.subspan(before_end));
  }

  Device& device_;
  LogPlace place_;
  LogRing ring_;
  const Geometry& geometry_;
  Lsn head_;
};

}  // namespace

void end_log(Device& device, const Geometry& geometry, const LogSummary& summary) {
  XDAX_ASSERT(summary.head.has_value());
  End(device, geometry, summary).run();
}

}  // namespace xdax
