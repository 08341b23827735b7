#include "libfs/format/acl.h"

#include <algorithm>
#include <tuple>

namespace xdax {
namespace {

bool named(AclTag tag) { return tag == AclTag::kUser || tag == AclTag::kGroup; }

bool known(std::uint32_t tag) {
  switch (static_cast<AclTag>(tag)) {
    case AclTag::kUserObject:
    case AclTag::kUser:
    case AclTag::kGroupObject:
    case AclTag::kGroup:
    case AclTag::kMask:
    case AclTag::kOther:
      return tag <= static_cast<std::uint32_t>(AclTag::kOther);
  }
  return false;
}

std::size_t count_of(const std::vector<AclEntry>& entries, AclTag tag) {
  return static_cast<std::size_t>(
      std::count_if(entries.begin(), entries.end(), [&](const AclEntry& each) { return each.tag == tag; }));
}

AclEntry* find(std::vector<AclEntry>& entries, AclTag tag) {
  const auto at = std::find_if(entries.begin(), entries.end(), [&](const AclEntry& each) { return each.tag == tag; });
  return at == entries.end() ? nullptr : &*at;
}

}  // namespace

std::optional<std::vector<AclEntry>> decode_acl(ByteSpan value) {
  if (value.size() < sizeof(be32)) return std::nullopt;
  const std::uint32_t count = view<be32>(value);
  if (count > kMaxAclEntries || value.size() != sizeof(be32) + count * sizeof(StoredAclEntry)) return std::nullopt;
  std::vector<AclEntry> entries;
  for (const StoredAclEntry& stored : view_array<StoredAclEntry>(value, sizeof(be32), count)) {
    if (!known(stored.tag)) return std::nullopt;
    const auto tag = static_cast<AclTag>(stored.tag.get());
    entries.push_back({.tag = tag, .id = named(tag) ? stored.id.get() : 0, .permissions = stored.permissions});
  }
  return entries;
}

std::vector<std::byte> encode_acl(const std::vector<AclEntry>& entries) {
  std::vector<std::byte> value(sizeof(be32) + entries.size() * sizeof(StoredAclEntry));
  mutable_view<be32>(value) = static_cast<std::uint32_t>(entries.size());
  const auto stored = mutable_view_array<StoredAclEntry>(value, sizeof(be32), entries.size());
  for (std::size_t i = 0; i < entries.size(); ++i) {
    stored[i].tag = static_cast<std::uint32_t>(entries[i].tag);
    stored[i].id = named(entries[i].tag) ? entries[i].id : 0;
    stored[i].permissions = entries[i].permissions;
  }
  return value;
}

void sort_acl(std::vector<AclEntry>& entries) {
  std::sort(entries.begin(), entries.end(),
            [](const AclEntry& a, const AclEntry& b) { return std::tie(a.tag, a.id) < std::tie(b.tag, b.id); });
}

bool valid_acl(const std::vector<AclEntry>& entries) {
  if (entries.size() > kMaxAclEntries) return false;
  const bool names = count_of(entries, AclTag::kUser) + count_of(entries, AclTag::kGroup) > 0;
  for (const AclTag tag : {AclTag::kUserObject, AclTag::kGroupObject, AclTag::kOther}) {
    if (count_of(entries, tag) != 1) return false;
  }
  const std::size_t masks = count_of(entries, AclTag::kMask);
  if (masks > 1 || (names && masks == 0)) return false;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (entries[i].permissions > 7) return false;
    if (i == 0) continue;
    const auto before = std::tie(entries[i - 1].tag, entries[i - 1].id);
    if (std::tie(entries[i].tag, entries[i].id) <= before) return false;
  }
  return true;
}

bool is_minimal_acl(const std::vector<AclEntry>& entries) { return entries.size() == 3; }

std::uint32_t permissions_of_acl(const std::vector<AclEntry>& entries) {
  std::uint32_t owner = 0, group = 0, other = 0;
  std::optional<std::uint32_t> mask;
  for (const AclEntry& entry : entries) {
    if (entry.tag == AclTag::kUserObject) owner = entry.permissions;
    if (entry.tag == AclTag::kGroupObject) group = entry.permissions;
    if (entry.tag == AclTag::kOther) other = entry.permissions;
    if (entry.tag == AclTag::kMask) mask = entry.permissions;
  }
  return owner << 6 | mask.value_or(group) << 3 | other;
}

void restrict_acl(std::vector<AclEntry>& entries, std::uint32_t permissions) {
  const auto limit = [&](AclTag tag, std::uint32_t to) {
    if (AclEntry* entry = find(entries, tag)) entry->permissions = static_cast<std::uint16_t>(entry->permissions & to);
  };
  limit(AclTag::kUserObject, permissions >> 6 & 7);
  limit(find(entries, AclTag::kMask) != nullptr ? AclTag::kMask : AclTag::kGroupObject, permissions >> 3 & 7);
  limit(AclTag::kOther, permissions & 7);
}

}  // namespace xdax
