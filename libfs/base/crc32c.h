// CRC32C as XFS uses it to seal metadata.
//
// The checksum covers the whole structure with its own 4-byte field taken as zero, starts from all ones, and is
// stored complemented and little-endian. Computed by ISA-L. Thread-safe. Source: XFS Algorithms & Data Structures,
// "Self-describing metadata"; verified against blocks written by the kernel (tests/unit/base_crc32c_test.cc).
#pragma once

#include <cstddef>
#include <cstdint>

#include "libfs/base/bytes.h"

namespace xdax {

/// Feeds `bytes` into a running CRC32C (no final complement). Start with ~0u.
[[nodiscard]] std::uint32_t crc32c_update(std::uint32_t running, ByteSpan bytes);

/// The checksum to store for `bytes`, whose checksum field lies at `field_offset_bytes` and is taken as zero.
/// Asserts that the field lies inside.
[[nodiscard]] std::uint32_t structure_checksum(ByteSpan bytes, std::size_t field_offset_bytes);

/// Writes the checksum of `bytes` into its field.
void seal(MutableByteSpan bytes, std::size_t field_offset_bytes);

}  // namespace xdax
