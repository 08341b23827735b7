// What all forms of attributes have in common: flags, namespaces, and the value of a parent pointer.
//
// A name lives in one namespace: user (no flag), root (trusted), secure, or parent. A parent pointer is an attribute of
// that last one: its name is the entry's name in the parent, its value the parent's inode number and generation.
// Source: XFS Algorithms & Data Structures, "Extended Attributes"; parent pointers from the kernel's behaviour.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "libfs/base/bytes.h"
#include "libfs/base/endian.h"
#include "libfs/format/features.h"
#include "libfs/format/flaw.h"
#include "libfs/format/geometry.h"

namespace xdax {

namespace attr_flags {
inline constexpr std::uint8_t kLocal = 0x01;  ///< the value stands beside the name (leaf form only)
inline constexpr std::uint8_t kRoot = 0x02;
inline constexpr std::uint8_t kSecure = 0x04;
inline constexpr std::uint8_t kParent = 0x08;
inline constexpr std::uint8_t kIncomplete = 0x80;  ///< not to be seen: its value is still being written
inline constexpr std::uint8_t kNamespaces = kRoot | kSecure | kParent;
}  // namespace attr_flags

namespace limits {
inline constexpr std::uint32_t kMaxAttrValueBytes = 65536;
}  // namespace limits

/// Value of a parent pointer.
struct ParentPointer {
  be64 ino;
  be32 gen;
};
static_assert(sizeof(ParentPointer) == 12);
static_assert(offsetof(ParentPointer, gen) == 8);

/// An attribute, decoded.
struct AttrEntry {
  std::string_view name;  ///< looks into the block
  ByteSpan value;         ///< empty for a remote one
  std::uint8_t flags = 0;
  bool remote = false;             ///< the value lies in blocks of its own
  std::uint32_t remote_block = 0;  ///< of a remote value: its first block in the attribute fork
  std::uint32_t value_bytes = 0;
  std::uint32_t at_bytes = 0;  ///< where the name's structure lies in its block or fork

  [[nodiscard]] bool parent() const { return (flags & attr_flags::kParent) != 0; }
};

/// Checks what holds of an attribute in any form: its namespace, name, and the value of a parent pointer.
/// `allowed_flags` are those its form knows besides the namespaces.
void check_attr_entry(Flaws& flaws, const AttrEntry& entry, const Geometry& geometry, std::uint8_t allowed_flags);

/// The hash an attribute is sorted by. For a parent pointer with a malformed value, that of its name alone.
[[nodiscard]] std::uint32_t attr_hash(const AttrEntry& entry, const Features& features);

}  // namespace xdax
