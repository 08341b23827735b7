#include "libfs/format/timestamp.h"

#include <algorithm>

#include "libfs/base/assert.h"

namespace xdax {

Timestamp decode_timestamp(std::uint64_t stored, bool bigtime) {
  if (bigtime) {
    return {.seconds = static_cast<std::int64_t>(stored / Timestamp::kNanosecondsPerSecond) + Timestamp::kMinSeconds,
            .nanoseconds = static_cast<std::uint32_t>(stored % Timestamp::kNanosecondsPerSecond)};
  }
  return {.seconds = static_cast<std::int32_t>(stored >> 32), .nanoseconds = static_cast<std::uint32_t>(stored)};
}

std::uint64_t encode_timestamp(const Timestamp& time, bool bigtime) {
  XDAX_ASSERT(time.nanoseconds < Timestamp::kNanosecondsPerSecond);
  const std::int64_t latest = bigtime ? Timestamp::kMaxBigtimeSeconds : Timestamp::kMaxLegacySeconds;
  const std::int64_t seconds = std::clamp(time.seconds, Timestamp::kMinSeconds, latest);
  std::uint32_t nanoseconds = time.nanoseconds;
  if (time.seconds < Timestamp::kMinSeconds) nanoseconds = 0;
  if (!bigtime) {
    if (time.seconds > latest) nanoseconds = 0;
    return std::uint64_t{static_cast<std::uint32_t>(seconds)} << 32 | nanoseconds;
  }
  const std::uint64_t whole =
      static_cast<std::uint64_t>(seconds - Timestamp::kMinSeconds) * Timestamp::kNanosecondsPerSecond;
  // The last second is not whole: 2^64 nanoseconds end inside it.
  if (time.seconds > latest || nanoseconds > ~whole) nanoseconds = 0;
  return whole + nanoseconds;
}

}  // namespace xdax
