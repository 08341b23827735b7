// What a host offers to make a range read as zeros without moving zeros, and to give a range back.
//
// Nothing here reports an I/O error: a host that cannot, or fails, says false, and the caller writes zeros, which meets
// and reports the real error. Sizes are chosen from the rates in SEMANTICS.md. Thread-safe for non-overlapping ranges.
#pragma once

#include <cstdint>
#include <functional>

#include "libfs/device/device.h"
#include "libfs/device/host_file.h"

namespace xdax {

/// Ranges shorter than this are zeroed by writing: a host's request costs about as much as this many bytes. Measured at
/// 64 KiB, in microseconds: pwrite 11, ext4 ZERO_RANGE 8, ext4 punch of written data 120 (about its writeback), tmpfs
/// punch 3, direct write to a loop device 54, BLKZEROOUT 34 to 89.
inline constexpr std::uint64_t kSmallestHostZeroBytes = std::uint64_t{64} << 10;

/// Makes the range read as zeros. The range must lie inside the file and, on a block device, be aligned to its sectors.
/// Regular files: a hole for kFastest, an unwritten range for kAllocated. Block devices: write-zeroes that may unmap
/// for kFastest, that must not for kAllocated. True when done.
[[nodiscard]] bool zero_by_host(const HostFile& file, std::uint64_t offset_bytes, std::uint64_t length_bytes,
                                ZeroMode mode);

/// Whether the whole range of a regular file is a hole or unwritten, so that it reads as zeros already. False when the
/// host cannot tell, and for block devices.
[[nodiscard]] bool is_hole(const HostFile& file, std::uint64_t offset_bytes, std::uint64_t length_bytes);

/// Calls `step(offset, length)`, in bytes, for each run of data in the range, ascending; holes and unwritten ranges are
/// left out. A host that cannot tell has data everywhere.
void for_each_data_run(const HostFile& file, std::uint64_t offset_bytes, std::uint64_t length_bytes,
                       const std::function<void(std::uint64_t, std::uint64_t)>& step);

/// Tells the host that the range is unused, under the same conditions. True when the host took it.
[[nodiscard]] bool discard_by_host(const HostFile& file, std::uint64_t offset_bytes, std::uint64_t length_bytes);

}  // namespace xdax
