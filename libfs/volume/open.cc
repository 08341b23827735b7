// Opening: the superblock, the features, and the state of the log.

#include <fmt/format.h>

#include <vector>

#include "libfs/base/error.h"
#include "libfs/format/superblock.h"
#include "libfs/journal/log_reader.h"
#include "libfs/volume/volume.h"

namespace xdax {
namespace {

constexpr const char* kMountIt = "mount it read-only to read it";

// The first sector, as large as it says it is.
std::vector<std::byte> read_first_sector(Device& device) {
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

// Unknown read-only-compatible bits are no obstacle: that is what they are for.
void refuse_unsupported(const Device& device, const Superblock& superblock) {
  const Features features = superblock.features();
  if (const auto unsupported = first_unsupported_for_reading(features)) {
    refuse(device, unsupported->feature, unsupported->advice);
  }
  if (superblock.rblocks != 0) refuse(device, "realtime device", kMountIt);
  if (superblock.logstart == 0) refuse(device, "external log", kMountIt);
}

void check_superblock(const Device& device, ByteSpan sector) {
  const Flaws flaws = verify_superblock(sector, {.ag = AgNumber(0), .device_bytes = device.size_bytes()});
  if (flaws.has(FlawKind::kMagic)) {
    throw RefusalError(Errc::kNotXfs,
                       fmt::format("{}: is not an XFS filesystem: no superblock at its start", device.name()));
  }
  // Version 4 has no checksum; of version 5 a checksum that is right means that the fields are what was written.
  const auto& superblock = view<Superblock>(sector);
  const bool meant = superblock.features().version() == 4 || !flaws.has(FlawKind::kChecksum);
  if (meant) refuse_unsupported(device, superblock);
  if (flaws.empty()) return;
  const Flaw& first = flaws[0];
  throw CorruptionError(Errc::kBadStructure,
                        fmt::format("{}: superblock at byte {} is damaged: {}: {} ought to be {} (found {}, expected "
                                    "{}); check it with fsck.xdax -n",
                                    device.name(), first.offset_bytes, to_string(first.kind), first.field, first.rule,
                                    first.found, first.expected));
}

void refuse_log(Device& device, const Geometry& geometry) {
  const LogSummary log = read_log_summary(device, LogPlace::of(geometry));
  constexpr const char* kOtherwise = "or read what is in place with --ignore-log";
  switch (log.state) {
    case LogState::kClean:
    case LogState::kZeroed:
      return;
    case LogState::kDirty:
      throw RefusalError(Errc::kNotSupported,
                         fmt::format("{}: its log holds {} records of changes that are not in place; replay them with "
                                     "xdax_repair --replay-only or by a mount, {}",
                                     device.name(), log.records, kOtherwise));
    case LogState::kDamaged:
    case LogState::kUnreadable:
      break;
  }
  throw RefusalError(Errc::kNotSupported, fmt::format("{}: its log is {}: {}; check it with fsck.xdax -n, {}",
                                                      device.name(), to_string(log.state), log.detail, kOtherwise));
}

}  // namespace

Geometry open_geometry_to_write(Device& device) {
  const std::vector<std::byte> sector = read_first_sector(device);
  check_superblock(device, sector);
  const auto& superblock = view<Superblock>(sector);
  if (const auto unsupported = first_unsupported_for_writing(superblock.features())) {
    refuse(device, unsupported->feature, unsupported->advice);
  }
  Geometry geometry(superblock);
  if (geometry.features.needsrepair()) {
    throw RefusalError(
        Errc::kNotSupported,
        fmt::format("{}: is marked as in need of repair, so that nothing but a repair may write to it; run "
                    "xfs_repair",
                    device.name()));
  }
  return geometry;
}

Volume Volume::open(Device& device, const VolumeOptions& options) {
  const std::vector<std::byte> sector = read_first_sector(device);
  check_superblock(device, sector);
  auto geometry = std::make_unique<const Geometry>(view<Superblock>(sector));
  if (!options.ignore_log) {
    if (geometry->features.needsrepair()) {
      throw RefusalError(
          Errc::kNotSupported,
          fmt::format("{}: is marked as in need of repair; run xfs_repair, or read what is in place with "
                      "--ignore-log",
                      device.name()));
    }
    refuse_log(device, *geometry);
  }
  return {device, std::move(geometry)};
}

}  // namespace xdax
