// What a host offers for zeroing and discarding. See host_zero.h.

#include "libfs/device/host_zero.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace xdax {
namespace {

/// One request to a block device covers at most this much, so that a signal or an error does not wait for a whole disk.
constexpr std::uint64_t kLongestRequestBytes = std::uint64_t{4} << 30;

bool allocate(int descriptor, int mode, std::uint64_t offset_bytes, std::uint64_t length_bytes) {
  int result = 0;
  do {
    result = ::fallocate(descriptor, mode, static_cast<off_t>(offset_bytes), static_cast<off_t>(length_bytes));
  } while (result != 0 && errno == EINTR);
  return result == 0;
}

bool request(int descriptor, unsigned long number, std::uint64_t offset_bytes, std::uint64_t length_bytes) {
  std::uint64_t range[2] = {offset_bytes, length_bytes};
  int result = 0;
  do {
    result = ::ioctl(descriptor, number, &range);
  } while (result != 0 && errno == EINTR);
  return result == 0;
}

/// Applies `step(offset, length)` to the range piece by piece until one says false.
template <class Step>
bool in_pieces(std::uint64_t offset_bytes, std::uint64_t length_bytes, const Step& step) {
  while (length_bytes > 0) {
    const std::uint64_t piece_bytes = std::min(length_bytes, kLongestRequestBytes);
    if (!step(offset_bytes, piece_bytes)) return false;
    offset_bytes += piece_bytes;
    length_bytes -= piece_bytes;
  }
  return true;
}

}  // namespace

bool zero_by_host(const HostFile& file, std::uint64_t offset_bytes, std::uint64_t length_bytes, ZeroMode mode) {
  if (length_bytes == 0) return true;
  const int descriptor = file.descriptor.get();
  const int punch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
  const int zero_range = FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;
  if (file.kind == HostKind::kRegularFile) {
    if (mode == ZeroMode::kFastest && allocate(descriptor, punch, offset_bytes, length_bytes)) return true;
    return allocate(descriptor, zero_range, offset_bytes, length_bytes);
  }
  if (file.kind != HostKind::kBlockDevice) return false;
  return in_pieces(offset_bytes, length_bytes, [&](std::uint64_t piece_offset, std::uint64_t piece_bytes) {
    // On a block device a punch is a write-zeroes that may unmap and is refused where it would have to write.
    if (mode == ZeroMode::kFastest && allocate(descriptor, punch, piece_offset, piece_bytes)) return true;
    return request(descriptor, BLKZEROOUT, piece_offset, piece_bytes);
  });
}

bool is_hole(const HostFile& file, std::uint64_t offset_bytes, std::uint64_t length_bytes) {
  if (file.kind != HostKind::kRegularFile) return false;
  const off_t data = ::lseek(file.descriptor.get(), static_cast<off_t>(offset_bytes), SEEK_DATA);
  if (data < 0) return errno == ENXIO;  // nothing but a hole up to the end
  return static_cast<std::uint64_t>(data) >= offset_bytes + length_bytes;
}

void for_each_data_run(const HostFile& file, std::uint64_t offset_bytes, std::uint64_t length_bytes,
                       const std::function<void(std::uint64_t, std::uint64_t)>& step) {
  const std::uint64_t end_bytes = offset_bytes + length_bytes;
  const auto seek = [&](std::uint64_t from_bytes, int what) {
    return ::lseek(file.descriptor.get(), static_cast<off_t>(from_bytes), what);
  };
  while (offset_bytes < end_bytes) {
    const off_t data = seek(offset_bytes, SEEK_DATA);
    if (data < 0 && errno == ENXIO) return;  // only a hole is left
    const off_t hole = data < 0 ? -1 : seek(static_cast<std::uint64_t>(data), SEEK_HOLE);
    const std::uint64_t begin = data < 0 ? offset_bytes : static_cast<std::uint64_t>(data);
    const std::uint64_t end = hole < 0 ? end_bytes : std::min(end_bytes, static_cast<std::uint64_t>(hole));
    if (begin >= end_bytes) return;
    step(begin, end - begin);
    offset_bytes = end;
  }
}

bool discard_by_host(const HostFile& file, std::uint64_t offset_bytes, std::uint64_t length_bytes) {
  if (length_bytes == 0) return false;
  const int descriptor = file.descriptor.get();
  if (file.kind == HostKind::kRegularFile) {
    return allocate(descriptor, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset_bytes, length_bytes);
  }
  if (file.kind != HostKind::kBlockDevice) return false;
  return in_pieces(offset_bytes, length_bytes, [&](std::uint64_t piece_offset, std::uint64_t piece_bytes) {
    return request(descriptor, BLKDISCARD, piece_offset, piece_bytes);
  });
}

}  // namespace xdax
