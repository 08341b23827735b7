// Endian-typed integers with alignment 1, for the fields of on-disk structures.
//
// Everything XFS writes is big-endian except the CRC32C fields, which are little-endian. A field converts to a
// host integer on read and from one on assignment; nothing is swapped in place, so a struct of these types can
// lie directly over the bytes of a block. Thread-safety: as plain bytes.
#pragma once

#include <array>
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

  // One load and one swap each: compilers do not see that in a loop over the bytes.
  [[nodiscard]] constexpr T get() const { return ordered(std::bit_cast<T>(bytes_)); }
  constexpr void set(T value) { bytes_ = std::bit_cast<Bytes>(ordered(value)); }

 private:
  using Bytes = std::array<std::uint8_t, sizeof(T)>;

  static constexpr T ordered(T value) { return Order == std::endian::native ? value : std::byteswap(value); }

  Bytes bytes_;
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
