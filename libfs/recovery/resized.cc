#include "libfs/recovery/resized.h"

#include <fmt/format.h>

#include "libfs/base/crc32c.h"
#include "libfs/base/error.h"
#include "libfs/format/superblock.h"
#include "libfs/journal/log_walk.h"
#include "libfs/recovery/logged_buffer.h"

namespace xdax {

std::optional<Geometry> geometry_behind_log(Device& device, const Geometry& geometry, const LogSummary& log) {
  std::vector<std::byte> sector(geometry.sector_bytes);
  device.read(0, sector);
  const std::vector<std::byte> before = sector;
  walk_log(device, LogPlace::of(geometry), log, [&](const LogTransaction& transaction) {
    for (const LogItem& item : transaction.items) {
      // Whatever else is in the log is judged when it is replayed, and so is what cannot be copied.
      if (item.type != LogItemType::kBuffer || item.regions[0].size() < sizeof(BufLogFormat)) continue;
      const auto& format = view<BufLogFormat>(item.regions[0]);
      if (format.blkno != 0 || !verify_log_item(item.regions[0], item.type, geometry).empty()) continue;
      static_cast<void>(copy_logged_runs(item, sector));
    }
  });
  const auto& old = view<Superblock>(before);
  const auto& fresh = view<Superblock>(sector);
  if (fresh.dblocks == old.dblocks && fresh.agcount == old.agcount) return std::nullopt;
  seal(sector, offsetof(Superblock, crc));
  const Flaws flaws = verify_superblock(sector, {.ag = AgNumber(0)});
  const bool same = fresh.uuid == old.uuid && fresh.blocksize == old.blocksize && fresh.agblocks == old.agblocks &&
                    fresh.logstart == old.logstart && fresh.logblocks == old.logblocks;
  if (!flaws.empty() || !same) {
    throw CorruptionError(
        Errc::kBadStructure,
        fmt::format("{}: the log cannot be replayed: the superblock in it is not one of this filesystem",
                    device.name()));
  }
  Geometry resized(fresh);
  if (resized.data_blocks > device.size_bytes() >> resized.block_log) {
    throw RefusalError(
        Errc::kOutOfRange,
        fmt::format("{}: the log grows the filesystem to {} blocks of {} bytes, and there are only {} bytes; give the "
                    "device its size back",
                    device.name(), resized.data_blocks, resized.block_bytes, device.size_bytes()));
  }
  return resized;
}

void write_superblock_copies(Device& device, const Geometry& geometry) {
  std::vector<std::byte> sector(geometry.sector_bytes);
  device.read(0, sector);
  for (std::uint32_t i = 1; i < geometry.ag_count; ++i) device.write(geometry.header_byte(AgNumber(i), 0), sector);
}

}  // namespace xdax
