// A small seeded generator whose sequence is the same on every machine and with every standard library.
//
// Counter-based mixing in the manner of splitmix64: equal seeds give equal sequences, and neighbouring seeds unrelated
// ones. For tests and faults, never for secrets. Not thread-safe.
#pragma once

#include <cstdint>

namespace xdax {

/// Mixes all bits of `value`.
[[nodiscard]] constexpr std::uint64_t mix_bits(std::uint64_t value) {
  value += 0x9e3779b97f4a7c15u;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
  return value ^ (value >> 31);
}

class SeededRandom {
 public:
  explicit constexpr SeededRandom(std::uint64_t seed) : state_(mix_bits(seed)) {}

  [[nodiscard]] constexpr std::uint64_t next() { return mix_bits(state_++); }
  /// A number below `bound`, which is at least 1.
  [[nodiscard]] constexpr std::uint64_t below(std::uint64_t bound) { return next() % bound; }

 private:
  std::uint64_t state_;
};

}  // namespace xdax
