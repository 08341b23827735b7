// Endian-typed integers with alignment 1, for the fields of on-disk structures.
//
// Everything XFS writes is big-endian except the CRC32C fields, which are little-endian. A field converts to a
// host integer on read and from one on assignment; nothing is swapped in place, so a struct of these types can
// lie directly over the bytes of a block. Thread-safety: as plain bytes.
#pragma once

#include <bit>
#include <compare>
#include <concepts>
#include <cstdint>

namespace xdax {

/// An integer of type T stored at alignment 1 in byte order `Order`.
template <std::unsigned_integral T, std::endian Order>
class Stored {
 public:
  using value_type = T;

  Stored() = default;
  constexpr Stored(T value) { set(value); }  // NOLINT(google-explicit-constructor): a field is its value

  constexpr operator T() const { return get(); }  // NOLINT(google-explicit-constructor)
  constexpr Stored& operator=(T value) {
    set(value);
    return *this;
  }
  constexpr Stored& operator+=(T amount) { return *this = static_cast<T>(get() + amount); }
  constexpr Stored& operator-=(T amount) { return *this = static_cast<T>(get() - amount); }

  [[nodiscard]] constexpr T get() const {
    T value = 0;
    if constexpr (Order == std::endian::big) {
      for (const std::uint8_t byte : bytes_)
        value = static_cast<T>(static_cast<T>(value << (sizeof(T) > 1 ? 8 : 0)) | byte);
    } else {
      for (unsigned i = sizeof(T); i-- > 0;)
        value = static_cast<T>(static_cast<T>(value << (sizeof(T) > 1 ? 8 : 0)) | bytes_[i]);
    }
    return value;
  }

  constexpr void set(T value) {
    for (unsigned i = 0; i < sizeof(T); ++i) {
      const unsigned place = Order == std::endian::big ? static_cast<unsigned>(sizeof(T)) - 1 - i : i;
      bytes_[place] = static_cast<std::uint8_t>(value >> (8 * i));
    }
  }

 private:
  std::uint8_t bytes_[sizeof(T)];
};

using be16 = Stored<std::uint16_t, std::endian::big>;
using be32 = Stored<std::uint32_t, std::endian::big>;
using be64 = Stored<std::uint64_t, std::endian::big>;
using le32 = Stored<std::uint32_t, std::endian::little>;  ///< checksums only

static_assert(sizeof(be16) == 2 && alignof(be16) == 1);
static_assert(sizeof(be32) == 4 && alignof(be32) == 1);
static_assert(sizeof(be64) == 8 && alignof(be64) == 1);
static_assert(sizeof(le32) == 4 && alignof(le32) == 1);

}  // namespace xdax
