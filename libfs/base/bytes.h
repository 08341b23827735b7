// Views of on-disk structures in byte buffers.
//
// A structure made of endian-typed fields has alignment 1 and no padding, so it may lie at any byte. The view
// functions check the bounds with an assertion: callers know their buffer's size (a sector, a block), never the disk.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>

#include "libfs/base/assert.h"

namespace xdax {

using ByteSpan = std::span<const std::byte>;
using MutableByteSpan = std::span<std::byte>;

template <class T>
concept OnDisk = std::is_trivially_copyable_v<T> && std::is_standard_layout_v<T> && alignof(T) == 1;

/// The structure T at `offset_bytes` of `bytes`. Asserts that it lies inside.
template <OnDisk T>
[[nodiscard]] const T& view(ByteSpan bytes, std::size_t offset_bytes = 0) {
  XDAX_ASSERT(offset_bytes <= bytes.size() && bytes.size() - offset_bytes >= sizeof(T));
  return *reinterpret_cast<const T*>(bytes.data() + offset_bytes);
}

/// The same, writable.
template <OnDisk T>
[[nodiscard]] T& mutable_view(MutableByteSpan bytes, std::size_t offset_bytes = 0) {
  XDAX_ASSERT(offset_bytes <= bytes.size() && bytes.size() - offset_bytes >= sizeof(T));
  return *reinterpret_cast<T*>(bytes.data() + offset_bytes);
}

/// `count` structures T starting at `offset_bytes` of `bytes`. Asserts that they all lie inside.
template <OnDisk T>
[[nodiscard]] std::span<const T> view_array(ByteSpan bytes, std::size_t offset_bytes, std::size_t count) {
  XDAX_ASSERT(offset_bytes <= bytes.size() && count <= (bytes.size() - offset_bytes) / sizeof(T));
  return {reinterpret_cast<const T*>(bytes.data() + offset_bytes), count};
}

template <OnDisk T>
[[nodiscard]] std::span<T> mutable_view_array(MutableByteSpan bytes, std::size_t offset_bytes, std::size_t count) {
  XDAX_ASSERT(offset_bytes <= bytes.size() && count <= (bytes.size() - offset_bytes) / sizeof(T));
  return {reinterpret_cast<T*>(bytes.data() + offset_bytes), count};
}

/// Whether all of `bytes` are zero.
[[nodiscard]] inline bool all_zero(ByteSpan bytes) {
  if (bytes.empty()) return true;
  return bytes[0] == std::byte{0} && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0;
}

}  // namespace xdax
