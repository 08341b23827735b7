#include "libfs/format/attr_shortform.h"

#include <algorithm>

#include "libfs/format/dir_entry.h"

namespace xdax {

AttrShortformCursor::AttrShortformCursor(ByteSpan fork) {
  if (fork.size() < sizeof(AttrShortformHeader)) {
    broken_ = true;
    return;
  }
  const auto& header = view<AttrShortformHeader>(fork);
  content_ = fork.first(std::min<std::size_t>(header.totsize, fork.size()));
  if (content_.size() < sizeof(AttrShortformHeader)) {
    broken_ = true;
    return;
  }
  left_ = header.count;
  at_ = sizeof(AttrShortformHeader);
}

std::optional<AttrEntry> AttrShortformCursor::next() {
  if (left_ == 0 || broken_) return std::nullopt;
  const std::size_t room = content_.size() - at_;
  if (room < sizeof(AttrShortformEntry)) {
    broken_ = true;
    return std::nullopt;
  }
  const auto& stored = view<AttrShortformEntry>(content_, at_);
  const std::size_t body = std::size_t{stored.namelen} + stored.valuelen;
  if (room - sizeof(AttrShortformEntry) < body) {
    broken_ = true;
    return std::nullopt;
  }
  const std::size_t name = at_ + sizeof(AttrShortformEntry);
  const AttrEntry entry{.name = name_at(content_, name, stored.namelen),
                        .value = content_.subspan(name + stored.namelen, stored.valuelen),
                        .flags = stored.flags,
                        .value_bytes = stored.valuelen,
                        .at_bytes = static_cast<std::uint32_t>(at_)};
  at_ = name + body;
  --left_;
  return entry;
}

Flaws verify_attr_shortform(ByteSpan fork, const Geometry& geometry) {
  Flaws flaws;
  if (fork.size() < sizeof(AttrShortformHeader)) {
    flaws.add({FlawKind::kRange, "attr_sf.hdr", 0, fork.size(), sizeof(AttrShortformHeader), "room for its header"});
    return flaws;
  }
  const auto& header = view<AttrShortformHeader>(fork);
  if (header.totsize < sizeof(AttrShortformHeader) || header.totsize > fork.size()) {
    flaws.add({FlawKind::kRange, "attr_sf.totsize", 0, header.totsize, fork.size(), "inside the fork"});
    return flaws;
  }
  AttrShortformCursor cursor(fork);
  while (const auto entry = cursor.next()) check_attr_entry(flaws, *entry, geometry, 0);
  if (cursor.broken() || cursor.at_bytes() != header.totsize) {
    flaws.add({FlawKind::kRange, "attr_sf.totsize", 0, header.totsize, cursor.at_bytes(), "where the attributes end"});
  }
  return flaws;
}

}  // namespace xdax
