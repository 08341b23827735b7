// A device in memory. See memory_device.h.

#include "libfs/device/memory_device.h"

#include <sys/mman.h>

#include <bit>
#include <cstring>

#include "libfs/base/assert.h"
#include "libfs/base/math.h"
#include "libfs/device/checks.h"

namespace xdax {
namespace {

constexpr std::size_t kPageBytes = 4096;
/// Below this many bytes filling is cheaper than returning pages and faulting them in again.
constexpr std::uint64_t kGiveBackBytes = 64u << 10;

std::size_t memory_size(std::uint64_t size_bytes) { return static_cast<std::size_t>(size_bytes); }

}  // namespace

MemoryDevice::MemoryDevice(MemoryOptions options)
    : memory_(memory_size(options.size_bytes)), name_(std::move(options.name)) {
  XDAX_ASSERT(std::has_single_bit(options.sector_bytes) && options.sector_bytes >= 512 &&
              options.sector_bytes <= 65536);
  traits_.kind = DeviceKind::kMemory;
  traits_.read_only = options.read_only;
  traits_.sector_bytes = options.sector_bytes;
  traits_.physical_sector_bytes = options.sector_bytes;
}

std::unique_ptr<MemoryDevice> MemoryDevice::copy_of(ByteSpan content, std::uint32_t sector_bytes) {
  MemoryOptions options;
  options.size_bytes = content.size();
  options.sector_bytes = sector_bytes;
  auto device = std::make_unique<MemoryDevice>(std::move(options));
  if (!content.empty()) std::memcpy(device->bytes().data(), content.data(), content.size());
  return device;
}

void MemoryDevice::read_batch(std::span<ReadRequest> requests) {
  for (ReadRequest& request : requests) {
    request.error = range_error(*this, request.offset_bytes, request.buffer.size());
    if (request.error || request.buffer.empty()) continue;
    std::memcpy(request.buffer.data(), memory_.bytes().data() + request.offset_bytes, request.buffer.size());
  }
}

void MemoryDevice::write_batch(std::span<WriteRequest> requests) {
  for (WriteRequest& request : requests) {
    request.error = write_range_error(*this, request.offset_bytes, request.buffer.size());
    if (request.error || request.buffer.empty()) continue;
    std::memcpy(memory_.bytes().data() + request.offset_bytes, request.buffer.data(), request.buffer.size());
  }
}

void MemoryDevice::zero(std::uint64_t offset_bytes, std::uint64_t length_bytes, ZeroMode mode) {
  require_writable_range(*this, offset_bytes, length_bytes, "zero");
  clear(offset_bytes, length_bytes, mode != ZeroMode::kAllocated);
}

bool MemoryDevice::discard(std::uint64_t offset_bytes, std::uint64_t length_bytes) {
  require_writable_range(*this, offset_bytes, length_bytes, "discard");
  if (length_bytes == 0) return false;
  clear(offset_bytes, length_bytes, true);
  return true;
}

void MemoryDevice::clear(std::uint64_t offset_bytes, std::uint64_t length_bytes, bool give_back) {
  if (length_bytes == 0) return;
  const auto fill = [&](std::uint64_t begin, std::uint64_t end) {
    if (begin < end) std::memset(memory_.bytes().data() + begin, 0, memory_size(end - begin));
  };
  const std::uint64_t end_bytes = offset_bytes + length_bytes;
  const std::uint64_t first_page = round_up(offset_bytes, kPageBytes);
  const std::uint64_t last_page = round_down(end_bytes, kPageBytes);
  const bool whole_pages = give_back && length_bytes >= kGiveBackBytes && first_page < last_page;
  std::byte* const pages = memory_.bytes().data() + first_page;
  if (!whole_pages || ::madvise(pages, memory_size(last_page - first_page), MADV_DONTNEED) != 0) {
    fill(offset_bytes, end_bytes);
    return;
  }
  fill(offset_bytes, first_page);
  fill(last_page, end_bytes);
}

std::optional<ByteSpan> MemoryDevice::mapped(std::uint64_t offset_bytes, std::uint64_t length_bytes) const {
  XDAX_ASSERT(range_fits(offset_bytes, length_bytes, size_bytes()));
  return memory_.bytes().subspan(memory_size(offset_bytes), memory_size(length_bytes));
}

}  // namespace xdax
