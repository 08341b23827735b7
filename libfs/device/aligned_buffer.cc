// Zero-filled memory at a chosen alignment. See aligned_buffer.h.

#include "libfs/device/aligned_buffer.h"

#include <sys/mman.h>

#include <bit>
#include <memory>
#include <new>
#include <utility>

#include "libfs/base/assert.h"

namespace xdax {
namespace {

constexpr std::size_t kPageBytes = 4096;

}  // namespace

AlignedBuffer::AlignedBuffer(std::size_t size_bytes, std::size_t alignment_bytes) : size_bytes_(size_bytes) {
  XDAX_ASSERT(std::has_single_bit(alignment_bytes));
  if (size_bytes == 0) return;
  const std::size_t slack_bytes = alignment_bytes > kPageBytes ? alignment_bytes : 0;
  if (size_bytes > SIZE_MAX - slack_bytes) throw std::bad_alloc();
  allocation_bytes_ = size_bytes + slack_bytes;
  // Not reserved: a sparse device of terabytes may be asked for, and only touched pages count.
  const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  allocation_ = ::mmap(nullptr, allocation_bytes_, PROT_READ | PROT_WRITE, flags, -1, 0);
  if (allocation_ == MAP_FAILED) {
    allocation_ = nullptr;
    throw std::bad_alloc();
  }
  void* aligned = allocation_;
  std::size_t space_bytes = allocation_bytes_;
  data_ = static_cast<std::byte*>(std::align(alignment_bytes, size_bytes, aligned, space_bytes));
  XDAX_ASSERT(data_ != nullptr);
}

AlignedBuffer::~AlignedBuffer() {
  if (allocation_ != nullptr) ::munmap(allocation_, allocation_bytes_);
}

AlignedBuffer::AlignedBuffer(AlignedBuffer&& other) noexcept { *this = std::move(other); }

AlignedBuffer& AlignedBuffer::operator=(AlignedBuffer&& other) noexcept {
  std::swap(allocation_, other.allocation_);
  std::swap(allocation_bytes_, other.allocation_bytes_);
  std::swap(data_, other.data_);
  std::swap(size_bytes_, other.size_bytes_);
  return *this;
}

}  // namespace xdax
