// The hash of a name, by which directories and attributes are sorted, and what a name may be.
//
// Each byte is mixed into the hash turned left by seven bits. A filesystem with ASCII case-insensitive names hashes
// directory names (never attribute names) with capital letters made small: A-Z, and of Latin-1 the letters of
// 0xc0..0xde. A parent pointer's hash also mixes in the parent's inode number. Source: XFS Algorithms & Data
// Structures, "Directory Hash"; the kernel's order of names on disk (tests/oracle/format_structures_test.cc).
#pragma once

#include <cstdint>
#include <string_view>

#include "libfs/base/units.h"
#include "libfs/format/features.h"

namespace xdax {

namespace limits {
inline constexpr std::uint32_t kMaxNameBytes = 255;  ///< of a directory entry or an attribute
}  // namespace limits

/// Of an attribute's name, and of a directory entry's unless names ignore case.
[[nodiscard]] std::uint32_t name_hash(std::string_view name);
/// Of a directory entry's name.
[[nodiscard]] std::uint32_t dir_name_hash(std::string_view name, const Features& features);
/// Whether two names are one in a directory: equal, or equal but for capitals where names ignore case.
[[nodiscard]] bool same_dir_name(std::string_view left, std::string_view right, const Features& features);
/// Of the attribute that records `parent` and the entry's name in it.
[[nodiscard]] std::uint32_t parent_pointer_hash(std::string_view name, InodeNumber parent, const Features& features);

/// Whether a directory entry may have this name: 1 to 255 bytes, neither '/' nor zero.
[[nodiscard]] bool valid_dir_name(std::string_view name);
/// Whether an attribute may have this name: 1 to 255 bytes, no zero.
[[nodiscard]] bool valid_attr_name(std::string_view name);

}  // namespace xdax
