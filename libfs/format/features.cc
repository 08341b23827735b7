#include "libfs/format/features.h"

#include <fmt/format.h>

namespace xdax {
namespace {

constexpr const char* kUseNewer = "use a newer version that knows it; nothing was changed";

struct NamedBit {
  std::uint32_t bit;
  const char* name;
};

constexpr NamedBit kRecognisedIncompat[] = {
    {incompat_bits::kMetadir, "metadata directory tree (metadir)"},
    {incompat_bits::kZoned, "zoned realtime device (zoned)"},
    {incompat_bits::kZoneGaps, "gaps between zones (zone gaps)"},
};

}  // namespace

std::optional<Unsupported> first_unsupported_for_reading(const Features& features) {
  if (features.version() != 5) {
    return Unsupported{fmt::format("format version {}", features.version()),
                       "only version 5 is handled; use xfs_repair for version 4"};
  }
  for (const NamedBit& known : kRecognisedIncompat) {
    if ((features.incompat & known.bit) != 0) return Unsupported{known.name, kUseNewer};
  }
  const std::uint32_t unknown = features.incompat & ~incompat_bits::kKnown;
  if (unknown != 0) return Unsupported{fmt::format("unknown incompatible feature bits {:#x}", unknown), kUseNewer};
  return std::nullopt;
}

std::optional<Unsupported> first_unsupported_for_writing(const Features& features) {
  if (auto refused = first_unsupported_for_reading(features)) return refused;
  if (const std::uint32_t unknown = features.ro_compat & ~ro_compat_bits::kKnown; unknown != 0) {
    return Unsupported{fmt::format("unknown read-only-compatible feature bits {:#x}", unknown), kUseNewer};
  }
  if (const std::uint32_t unknown = features.log_incompat & ~log_incompat_bits::kKnown; unknown != 0) {
    return Unsupported{fmt::format("unknown log feature bits {:#x}", unknown), kUseNewer};
  }
  return std::nullopt;
}

}  // namespace xdax
