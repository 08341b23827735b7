// Hostile logs: operations of the input's choice in a record with a right checksum, walked and replayed over a small
// filesystem.
//
//   byte 0: how many operations the header promises   then: the data of the record, operations and bodies
//
// Whatever the bytes, walking ends, replaying ends in success or an Error, and nothing outside the filesystem is
// touched.
#include <algorithm>

#include "libfs/base/error.h"
#include "libfs/device/overlay_device.h"
#include "libfs/format/superblock.h"
#include "libfs/recovery/replay.h"
#include "tests/fuzz/formatted.h"
#include "tests/fuzz/fuzz_geometry.h"

namespace {

using namespace xdax;

constexpr std::size_t kMostDataBytes = 16 * 1024;

// One record at the start of the log, in cycle 2.
LogSummary write_record(Device& device, const Geometry& geometry, std::uint8_t operations, fuzz::Bytes data) {
  const LogPlace place = LogPlace::of(geometry);
  data.resize((data.size() + kBasicBlockBytes - 1) / kBasicBlockBytes * kBasicBlockBytes);
  fuzz::Bytes record(kBasicBlockBytes + data.size());
  const MutableByteSpan headers = MutableByteSpan(record).first(kBasicBlockBytes);
  const MutableByteSpan body = MutableByteSpan(record).subspan(kBasicBlockBytes);
  std::copy(data.begin(), data.end(), body.begin());
  const Lsn lsn{.cycle = 2, .block = 0};
  auto& header = mutable_view<LogRecordHeader>(headers);
  header.magicno = LogRecordHeader::kMagic;
  header.cycle = lsn.cycle;
  header.version = LogRecordHeader::kVersion;
  header.len = static_cast<std::uint32_t>(data.size());
  header.lsn = lsn.encode();
  header.tail_lsn = lsn.encode();
  header.prev_block = LogRecordHeader::kNoPrevious;
  header.num_logops = operations;
  header.fmt = log_formats::kLinuxLittle;
  header.fs_uuid = place.user_uuid;
  header.size = limits::kLogBytesPerHeader;
  stamp_cycle_words(body, headers, {.cycle = lsn.cycle, .blocks_to_end = place.blocks});
  header.crc = log_record_checksum(headers, body, kLogHeaderBytes64);
  device.write(place.offset_bytes, record);
  LogSummary summary;
  summary.state = LogState::kDirty;
  summary.tail = lsn;
  summary.head = Lsn{.cycle = 2, .block = static_cast<std::uint32_t>(record.size() / kBasicBlockBytes)};
  return summary;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static fuzz::Formatted base(64ull << 20, 2);
  if (size < 2) return 0;
  OverlayDevice overlay(base.device);
  fuzz::Bytes bytes(std::min(size - 1, kMostDataBytes));
  std::memcpy(bytes.data(), data + 1, bytes.size());
  const LogSummary summary = write_record(overlay, base.geometry, data[0], bytes);
  const LogPlace place = LogPlace::of(base.geometry);
  Replay replay(overlay, base.geometry);
  try {
    const auto first = walk_log(overlay, place, summary, [&](const LogTransaction& each) { replay.look_ahead(each); });
    const auto second = walk_log(overlay, place, summary, [&](const LogTransaction& each) { replay.apply(each); });
    fuzz::require(first.transactions == second.transactions && first.records == second.records);
    fuzz::require(replay.counts().transactions == second.transactions);
  } catch (const Error& error) {
    fuzz::require(*error.what() != '\0');
  }
  for (const LogItem& item : replay.unfinished()) fuzz::require(!item.regions.empty());
  return 0;
}
