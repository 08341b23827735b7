// What every device checks before it touches a byte, and how an errno becomes an error code.
//
// Batches report a bad range or a read-only device in the request; zero() and discard() throw. Both use the same tests,
// written once here, and none of them can overflow. Thread-safe: pure functions.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <system_error>
#include <vector>

#include "libfs/base/error.h"
#include "libfs/base/math.h"
#include "libfs/device/device.h"

namespace xdax {

/// The code of an errno value (positive).
[[nodiscard]] inline std::error_code errno_code(int error_number) { return {error_number, std::system_category()}; }

/// The text of an errno value, for messages.
[[nodiscard]] inline std::string errno_text(int error_number) { return errno_code(error_number).message(); }

/// Clear when [offset, offset+length) lies inside the device, kOutOfRange otherwise.
[[nodiscard]] inline std::error_code range_error(const Device& device, std::uint64_t offset_bytes,
                                                 std::uint64_t length_bytes) {
  if (range_fits(offset_bytes, length_bytes, device.size_bytes())) return {};
  return make_error_code(Errc::kOutOfRange);
}

/// The same for a write: a device opened for reading gives kReadOnly.
[[nodiscard]] inline std::error_code write_range_error(const Device& device, std::uint64_t offset_bytes,
                                                       std::uint64_t length_bytes) {
  if (device.traits().read_only) return make_error_code(Errc::kReadOnly);
  return range_error(device, offset_bytes, length_bytes);
}

/// Throws RefusalError (kReadOnly, kOutOfRange) unless the range may be changed. `verb` completes "cannot ...".
void require_writable_range(const Device& device, std::uint64_t offset_bytes, std::uint64_t length_bytes,
                            const char* verb);

/// Writes zeros over the range by batches of write_batch(). Throws IoError. `alignment_bytes` is the memory alignment
/// of the source, a power of two.
void zero_by_writing(Device& device, std::uint64_t offset_bytes, std::uint64_t length_bytes,
                     std::size_t alignment_bytes);

}  // namespace xdax
