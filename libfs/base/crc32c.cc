#include "libfs/base/crc32c.h"

#include <isa-l/crc.h>

#include <algorithm>

#include "libfs/base/endian.h"

namespace xdax {

std::uint32_t crc32c_update(std::uint32_t running, ByteSpan bytes) {
  // ISA-L takes an int length and a non-const pointer that it does not write through.
  constexpr std::size_t kMaxPieceBytes = std::size_t{1} << 30;
  while (!bytes.empty()) {
    const std::size_t piece_bytes = std::min(bytes.size(), kMaxPieceBytes);
    auto* start = reinterpret_cast<unsigned char*>(const_cast<std::byte*>(bytes.data()));
    running = crc32_iscsi(start, static_cast<int>(piece_bytes), running);
    bytes = bytes.subspan(piece_bytes);
  }
  return running;
}

std::uint32_t structure_checksum(ByteSpan bytes, std::size_t field_offset_bytes) {
  XDAX_ASSERT(field_offset_bytes + sizeof(le32) <= bytes.size());
  constexpr std::byte kZero[sizeof(le32)] = {};
  std::uint32_t running = crc32c_update(~0u, bytes.first(field_offset_bytes));
  running = crc32c_update(running, kZero);
  running = crc32c_update(running, bytes.subspan(field_offset_bytes + sizeof(le32)));
  return ~running;
}

void seal(MutableByteSpan bytes, std::size_t field_offset_bytes) {
  mutable_view<le32>(bytes, field_offset_bytes) = structure_checksum(bytes, field_offset_bytes);
}

}  // namespace xdax
