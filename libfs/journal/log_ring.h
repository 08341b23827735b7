// The ring of 512-byte blocks that a log is, and what lies behind what in it. Not thread-safe: one buffer.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "libfs/device/device.h"
#include "libfs/format/log_record.h"
#include "libfs/journal/log_reader.h"

namespace xdax {

class LogRing {
 public:
  LogRing(Device& device, const LogPlace& place) : device_(device), place_(place) {}

  [[nodiscard]] std::uint32_t blocks() const { return place_.blocks; }
  [[nodiscard]] std::uint32_t wrap(std::uint64_t block) const {
    return static_cast<std::uint32_t>(block % place_.blocks);
  }
  /// Reads `count` blocks, at most all, from `first` on, around the end of the ring. Valid until the next read. Throws
  /// IoError.
  [[nodiscard]] MutableByteSpan read(std::uint32_t first, std::uint32_t count) {
    // Made anew: of resize() g++ 12 at -O3 believes that it writes past the end.
    buffer_ = std::vector<std::byte>(std::size_t{count} * kBasicBlockBytes);
    const std::uint32_t before_end = std::min(count, place_.blocks - first);
    const std::size_t before_end_bytes = std::size_t{before_end} * kBasicBlockBytes;
    device_.read(place_.offset_bytes + std::uint64_t{first} * kBasicBlockBytes,
                 MutableByteSpan(buffer_).first(before_end_bytes));
    if (before_end < count) device_.read(place_.offset_bytes, MutableByteSpan(buffer_).subspan(before_end_bytes));
    return buffer_;
  }
  /// What is expected of a record at `block`.
  [[nodiscard]] LogRecordExpectation expectation(std::uint32_t block) const {
    return {.user_uuid = place_.user_uuid, .block = block, .log_blocks = place_.blocks};
  }
  /// Where the record behind one of `blocks` blocks at `lsn` goes.
  [[nodiscard]] Lsn after(const Lsn& lsn, std::uint32_t blocks) const {
    const std::uint64_t end = std::uint64_t{lsn.block} + blocks;
    if (end < place_.blocks) return {.cycle = lsn.cycle, .block = static_cast<std::uint32_t>(end)};
    return {.cycle = next_log_cycle(lsn.cycle), .block = wrap(end)};
  }
  /// Blocks from `tail` to `head`; a tail equal to the head leaves none, or all.
  [[nodiscard]] std::uint64_t distance(const Lsn& tail, const Lsn& head) const {
    if (tail.block <= head.block && tail.cycle == head.cycle) return head.block - tail.block;
    return std::uint64_t{place_.blocks} - tail.block + head.block;
  }

 private:
  Device& device_;
  LogPlace place_;
  std::vector<std::byte> buffer_;
};

}  // namespace xdax
