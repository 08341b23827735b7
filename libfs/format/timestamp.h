// Timestamps of inodes: 64 bits in one of two forms.
//
//   legacy:   bits 63..32 signed seconds since 1970 | bits 31..0 nanoseconds          1901 .. 2038
//   bigtime:  unsigned nanoseconds since 2^31 seconds before 1970                     1901 .. 2486
//
// An inode's flags2 says which form it uses; a filesystem with the bigtime feature may hold both. Source: XFS
// Algorithms & Data Structures, "Inode Core"; tests/oracle/format_inode_test.cc compares with stat(2).
#pragma once

#include <compare>
#include <cstdint>

namespace xdax {

struct Timestamp {
  static constexpr std::uint32_t kNanosecondsPerSecond = 1'000'000'000;
  static constexpr std::int64_t kMinSeconds = -(std::int64_t{1} << 31);  ///< both forms
  static constexpr std::int64_t kMaxLegacySeconds = (std::int64_t{1} << 31) - 1;
  /// The last whole second that 2^64 - 1 nanoseconds reach.
  static constexpr std::int64_t kMaxBigtimeSeconds =
      static_cast<std::int64_t>(~std::uint64_t{0} / kNanosecondsPerSecond) + kMinSeconds;

  std::int64_t seconds = 0;  ///< since 1970
  std::uint32_t nanoseconds = 0;

  auto operator<=>(const Timestamp&) const = default;
};

/// The time that `stored`, the value of a be64 field, means. Total: legacy nanoseconds are taken as they are, so that a
/// verifier can see that they are too many.
[[nodiscard]] Timestamp decode_timestamp(std::uint64_t stored, bool bigtime);

/// The value to store. A time outside the form's range becomes the nearest one inside, as the kernel does it.
/// Asserts that nanoseconds are below a second.
[[nodiscard]] std::uint64_t encode_timestamp(const Timestamp& time, bool bigtime);

}  // namespace xdax
