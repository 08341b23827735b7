// A filesystem that grew or shrank while its log was written: the log says so, the superblock on disk not yet.
#pragma once

#include <optional>

#include "libfs/device/device.h"
#include "libfs/format/geometry.h"
#include "libfs/journal/log_reader.h"

namespace xdax {

/// The geometry that the superblock has once the log is replayed; nothing when that is `geometry`. Throws
/// CorruptionError when it would be no geometry, or one of another filesystem; RefusalError (kOutOfRange) when the
/// device is too small for it; IoError.
[[nodiscard]] std::optional<Geometry> geometry_behind_log(Device& device, const Geometry& geometry,
                                                          const LogSummary& log);

/// Brings the copies of the superblock of all groups up to date with the first one, as whoever changed the size would
/// have.
void write_superblock_copies(Device& device, const Geometry& geometry);

}  // namespace xdax
