// The parts of Device that no implementation changes: single requests on top of batches, and their messages.

#include "libfs/device/device.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "libfs/device/aligned_buffer.h"
#include "libfs/device/checks.h"

namespace xdax {
namespace {

std::string describe(const Device& device, const char* verb, std::uint64_t offset_bytes, std::uint64_t length_bytes,
                     const std::error_code& error) {
  std::string reason = error.message();
  if (error == Errc::kOutOfRange) {
    reason = fmt::format("the device has only {} bytes", device.size_bytes());
  } else if (error == Errc::kReadOnly) {
    reason = "it is open for reading only";
  }
  return fmt::format("{}: cannot {} {} bytes at byte {}: {}", device.name(), verb, length_bytes, offset_bytes, reason);
}

}  // namespace

std::optional<ByteSpan> Device::mapped(std::uint64_t, std::uint64_t) const { return std::nullopt; }

void Device::read(std::uint64_t offset_bytes, MutableByteSpan buffer) {
  ReadRequest request{.offset_bytes = offset_bytes, .buffer = buffer, .error = {}};
  read_batch({&request, 1});
  if (!request.error) return;
  const Errc code = request.error == Errc::kOutOfRange ? Errc::kOutOfRange : Errc::kReadFailed;
  throw IoError(code, describe(*this, "read", offset_bytes, buffer.size(), request.error));
}

void Device::write(std::uint64_t offset_bytes, ByteSpan buffer) {
  WriteRequest request{.offset_bytes = offset_bytes, .buffer = buffer, .error = {}};
  write_batch({&request, 1});
  if (!request.error) return;
  std::string message = describe(*this, "write", offset_bytes, buffer.size(), request.error);
  if (request.error == Errc::kOutOfRange) throw RefusalError(Errc::kOutOfRange, std::move(message));
  if (request.error == Errc::kReadOnly) throw RefusalError(Errc::kReadOnly, std::move(message));
  throw IoError(Errc::kWriteFailed, std::move(message));
}

std::optional<IoChoice> parse_io_choice(std::string_view text) {
  if (text == "auto") return IoChoice::kAuto;
  if (text == "dax") return IoChoice::kDax;
  if (text == "uring") return IoChoice::kUring;
  return std::nullopt;
}

void require_writable_range(const Device& device, std::uint64_t offset_bytes, std::uint64_t length_bytes,
                            const char* verb) {
  const std::error_code error = write_range_error(device, offset_bytes, length_bytes);
  if (!error) return;
  const Errc code = error == Errc::kReadOnly ? Errc::kReadOnly : Errc::kOutOfRange;
  throw RefusalError(code, describe(device, verb, offset_bytes, length_bytes, error));
}

void zero_by_writing(Device& device, std::uint64_t offset_bytes, std::uint64_t length_bytes,
                     std::size_t alignment_bytes) {
  constexpr std::uint64_t kPieceBytes = 1u << 20;
  constexpr std::size_t kPieces = 16;
  const AlignedBuffer zeros(static_cast<std::size_t>(std::min(length_bytes, kPieceBytes)), alignment_bytes);
  std::array<WriteRequest, kPieces> batch;
  // Pieces end on multiples of their size, so that only the ends of the range can be unaligned.
  while (length_bytes > 0) {
    std::size_t count = 0;
    for (; count < kPieces && length_bytes > 0; ++count) {
      const std::uint64_t piece_bytes = std::min(length_bytes, kPieceBytes - offset_bytes % kPieceBytes);
      const ByteSpan source = zeros.bytes().first(static_cast<std::size_t>(piece_bytes));
      batch[count] = {.offset_bytes = offset_bytes, .buffer = source, .error = {}};
      offset_bytes += piece_bytes;
      length_bytes -= piece_bytes;
    }
    device.write_batch(std::span(batch).first(count));
    for (const WriteRequest& request : std::span(batch).first(count)) {
      if (!request.error) continue;
      throw IoError(Errc::kWriteFailed,
                    describe(device, "zero", request.offset_bytes, request.buffer.size(), request.error));
    }
  }
}

}  // namespace xdax
