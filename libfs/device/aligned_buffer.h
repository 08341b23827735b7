// Zero-filled memory at a chosen alignment, for direct transfers.
//
// Anonymous pages: they start out as zeros without being touched, begin on a page boundary, and go back to the system
// whole. Thread-safety: as plain memory.
#pragma once

#include <cstddef>
#include <new>
#include <vector>

#include "libfs/base/bytes.h"

namespace xdax {

class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  /// `size_bytes` zero bytes, aligned to `alignment_bytes` (a power of two). Throws std::bad_alloc.
  explicit AlignedBuffer(std::size_t size_bytes, std::size_t alignment_bytes = 4096);
  ~AlignedBuffer();
  AlignedBuffer(AlignedBuffer&& other) noexcept;
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept;
  AlignedBuffer(const AlignedBuffer&) = delete;
  AlignedBuffer& operator=(const AlignedBuffer&) = delete;

  [[nodiscard]] MutableByteSpan bytes() { return {data_, size_bytes_}; }
  [[nodiscard]] ByteSpan bytes() const { return {data_, size_bytes_}; }

 private:
  void* allocation_ = nullptr;
  std::size_t allocation_bytes_ = 0;
  std::byte* data_ = nullptr;
  std::size_t size_bytes_ = 0;
};

/// Gives memory that begins on a page boundary, and leaves new elements as they are: they are about to be read into.
template <class T>
struct PageAllocator {
  using value_type = T;

  static constexpr std::align_val_t kAlignment{4096};
  [[nodiscard]] T* allocate(std::size_t count) {
    return static_cast<T*>(::operator new(count * sizeof(T), kAlignment));
  }
  void deallocate(T* memory, std::size_t) noexcept { ::operator delete(memory, kAlignment); }
  template <class U>
  void construct(U* element) {
    ::new (static_cast<void*>(element)) U;
  }
  bool operator==(const PageAllocator&) const = default;
};

/// A buffer that grows and shrinks, to read into: a direct descriptor takes it as it is.
using IoBytes = std::vector<std::byte, PageAllocator<std::byte>>;

}  // namespace xdax
