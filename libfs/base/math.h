// Integer arithmetic on sizes: division rounding up, rounding to multiples, powers of two.
#pragma once

#include <bit>
#include <concepts>
#include <cstdint>
#include <type_traits>

namespace xdax {

template <std::unsigned_integral T>
[[nodiscard]] constexpr T div_ceil(T dividend, std::type_identity_t<T> divisor) {
  return static_cast<T>(dividend / divisor + (dividend % divisor != 0 ? 1 : 0));
}

template <std::unsigned_integral T>
[[nodiscard]] constexpr T round_up(T value, std::type_identity_t<T> multiple) {
  return static_cast<T>(div_ceil(value, multiple) * multiple);
}

template <std::unsigned_integral T>
[[nodiscard]] constexpr T round_down(T value, std::type_identity_t<T> multiple) {
  return static_cast<T>(value / multiple * multiple);
}

/// The exponent of the largest power of two that is at most `value`; 0 for 0.
[[nodiscard]] constexpr unsigned floor_log2(std::uint64_t value) {
  return value == 0 ? 0 : static_cast<unsigned>(std::bit_width(value)) - 1;
}

/// The exponent of the smallest power of two that is at least `value`; 0 for 0.
[[nodiscard]] constexpr unsigned ceil_log2(std::uint64_t value) {
  return value <= 1 ? 0 : static_cast<unsigned>(std::bit_width(value - 1));
}

/// offset + length without overflow, both in the same unit; false when it would pass `limit`.
[[nodiscard]] constexpr bool range_fits(std::uint64_t offset, std::uint64_t length, std::uint64_t limit) {
  return offset <= limit && length <= limit - offset;
}

}  // namespace xdax
