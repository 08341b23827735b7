#include "libfs/inode/metadata_reader.h"

#include <fmt/format.h>

#include "libfs/base/error.h"

namespace xdax {

void MetadataReader::require(const Flaws& flaws, const MetadataPlace& place) const {
  if (flaws.empty()) return;
  const Flaw& first = flaws[0];
  // A uuid does not fit a number; its flaw says all there is to say.
  const std::string values = first.kind == FlawKind::kUuid
                                 ? std::string()
                                 : fmt::format(" (found {}, expected {})", first.found, first.expected);
  const std::string more = flaws.total() > 1 ? fmt::format(", and {} more", flaws.total() - 1) : std::string();
  corrupt({.structure = place.structure, .ino = place.ino, .byte = place.byte + first.offset_bytes},
          fmt::format("{}: {} ought to be {}{}{}", to_string(first.kind), first.field, first.rule, values, more));
}

void MetadataReader::corrupt(const MetadataPlace& place, std::string_view rule) const {
  throw CorruptionError(Errc::kBadStructure, fmt::format("{}: inode {}: {} at byte {} is damaged: {}", device_->name(),
                                                         place.ino.value(), place.structure, place.byte, rule));
}

}  // namespace xdax
