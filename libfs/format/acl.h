// Access control lists, as they lie in an attribute: "SGI_ACL_FILE" and "SGI_ACL_DEFAULT" of the trusted namespace.
//
//   0 count                    then, for each entry
//   0 tag   4 id   8 perm  10 pad
//
// Source: XFS Algorithms & Data Structures, "Extended Attributes"; the meaning of entries is POSIX.1e's.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "libfs/base/bytes.h"
#include "libfs/base/endian.h"

namespace xdax {

enum class AclTag : std::uint16_t {
  kUserObject = 0x01,  ///< the owner
  kUser = 0x02,
  kGroupObject = 0x04,  ///< the owning group
  kGroup = 0x08,
  kMask = 0x10,  ///< the most that any but the owner and others get
  kOther = 0x20,
};

struct AclEntry {
  AclTag tag = AclTag::kUserObject;
  std::uint32_t id = 0;           ///< of kUser and kGroup
  std::uint16_t permissions = 0;  ///< 0 to 7: read 4, write 2, execute 1
  bool operator==(const AclEntry&) const = default;
};

struct StoredAclEntry {
  be32 tag;
  be32 id;
  be16 permissions;
  be16 pad;
};
static_assert(sizeof(StoredAclEntry) == 12);

inline constexpr std::string_view kAccessAclName = "SGI_ACL_FILE";
inline constexpr std::string_view kDefaultAclName = "SGI_ACL_DEFAULT";
/// What fits the largest value of an attribute.
inline constexpr std::size_t kMaxAclEntries = (65536 - sizeof(be32)) / sizeof(StoredAclEntry);

/// Nothing when the bytes are no list: another length than the count says, an unknown tag.
[[nodiscard]] std::optional<std::vector<AclEntry>> decode_acl(ByteSpan value);
[[nodiscard]] std::vector<std::byte> encode_acl(const std::vector<AclEntry>& entries);

/// Puts entries in the order that they are stored in: by tag, then by id.
void sort_acl(std::vector<AclEntry>& entries);
/// Whether a sorted list is one: the owner, the group and others once, a mask at most once and with any user or group,
/// each of which is there once.
[[nodiscard]] bool valid_acl(const std::vector<AclEntry>& entries);
/// Whether permissions say all of it.
[[nodiscard]] bool is_minimal_acl(const std::vector<AclEntry>& entries);
/// The permissions (0 to 0777) that go with a valid list.
[[nodiscard]] std::uint32_t permissions_of_acl(const std::vector<AclEntry>& entries);
/// Takes away from a valid list what `permissions` do not grant.
void restrict_acl(std::vector<AclEntry>& entries, std::uint32_t permissions);

}  // namespace xdax
