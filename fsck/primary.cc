#include "fsck/primary.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "fsck/flaw_findings.h"
#include "fsck/superblock_copies.h"
#include "libfs/base/error.h"

namespace xdax::fsck {
namespace {

Finding place_of_primary() {
  Finding finding;
  finding.structure = "superblock";
  finding.group = 0;
  finding.byte = 0;
  return finding;
}

// The first sector, as large as it says it is.
std::vector<std::byte> read_primary(Device& device) {
  std::vector<std::byte> sector(kBasicBlockBytes);
  if (device.size_bytes() < sector.size()) {
    throw RefusalError(Errc::kNotXfs, fmt::format("{}: has only {} bytes, too few for a filesystem", device.name(),
                                                  device.size_bytes()));
  }
  device.read(0, sector);
  const std::uint32_t whole = claimed_sector_bytes(sector);
  if (whole > sector.size() && whole <= device.size_bytes()) {
    sector.resize(whole);
    device.read(0, sector);
  }
  return sector;
}

[[noreturn]] void refuse(const Device& device, const std::string& feature, const std::string& advice) {
  throw RefusalError(Errc::kNotSupported,
                     fmt::format("{}: has a feature that is not supported: {}; {}", device.name(), feature, advice));
}

constexpr const char* kUseOther = "check it with xfs_repair -n; nothing was changed";

void refuse_unsupported(const Device& device, const Superblock& superblock) {
  const Features features = superblock.features();
  // An unknown tree of a group would make its blocks look lost or taken: no verdict is better than a wrong one.
  auto unsupported = first_unsupported_for_reading(features);
  if (!unsupported && (features.ro_compat & ~ro_compat_bits::kKnown) != 0) {
    unsupported = Unsupported{
        fmt::format("unknown read-only-compatible feature bits {:#x}", features.ro_compat & ~ro_compat_bits::kKnown),
        "use a newer version that knows it; nothing was changed"};
  }
  if (unsupported) refuse(device, unsupported->feature, unsupported->advice);
  if (superblock.rblocks != 0) refuse(device, "realtime device", kUseOther);
  if (superblock.logstart == 0) refuse(device, "external log", kUseOther);
}

// A checksum that is right means that the fields are what their writer meant.
bool trustworthy(const Flaws& flaws) { return !flaws.has(FlawKind::kMagic) && !flaws.has(FlawKind::kChecksum); }

}  // namespace

Primary check_primary(Device& device, const PrimaryOptions& options, FindingSink& findings) {
  const std::vector<std::byte> sector = read_primary(device);
  const auto& superblock = view<Superblock>(sector);
  const Flaws flaws = verify_superblock(sector, {.ag = AgNumber(0)});
  const bool magic = !flaws.has(FlawKind::kMagic);
  // Version 4 has no checksum, so that nothing more can be known of it.
  const bool version_4 = magic && superblock.features().version() == 4;
  if (version_4 || trustworthy(flaws)) refuse_unsupported(device, superblock);

  const bool usable = usable_for_geometry(flaws) && !first_unsupported_for_reading(superblock.features()) &&
                      superblock.logstart != 0 && !flaws.has(FlawKind::kPointer);
  if (usable || (trustworthy(flaws) && usable_for_geometry(flaws))) {
    add_flaws(findings, flaws, place_of_primary());
    return {superblock, true};
  }
  const bool search = options.search || magic;
  const std::optional<FoundCopy> copy = search ? find_copy(device, sector) : std::nullopt;
  if (!copy) {
    if (!magic) {
      throw RefusalError(Errc::kNotXfs, fmt::format("{}: is not an XFS filesystem: no superblock at its start{}",
                                                    device.name(), search ? ", and no copy of one" : ""));
    }
    const Flaw& first = flaws[0];
    throw RefusalError(Errc::kNotXfs, fmt::format("{}: has an unusable XFS superblock ({} is {}, ought to be {}), and "
                                                  "no sound copy of one was found",
                                                  device.name(), first.field, first.found, first.rule));
  }
  add_flaws(findings, flaws, place_of_primary());
  Finding used = place_of_primary();
  used.problem = Problem::kSbCopyUsed;
  used.detail = fmt::format("in group {}, at byte {}", copy->group, copy->byte);
  findings.add(std::move(used));
  refuse_unsupported(device, copy->superblock);
  return {copy->superblock, false};
}

}  // namespace xdax::fsck
