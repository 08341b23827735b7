// Integers in the byte order of the machine that wrote a log.
//
// Log items are copies of memory: little-endian on the machines whose logs this build reads. These types are for log
// items and the bodies of log operations, and for nothing else on disk.
#pragma once

#include <bit>
#include <cstdint>

#include "libfs/base/endian.h"

namespace xdax {

using le16 = Stored<std::uint16_t, std::endian::little>;
using le64 = Stored<std::uint64_t, std::endian::little>;
static_assert(sizeof(le16) == 2 && alignof(le16) == 1);
static_assert(sizeof(le64) == 8 && alignof(le64) == 1);

}  // namespace xdax
