// Ends a log whose changes are all in place: with an unmount record at its head, so that the next mount finds it clean.
#pragma once

#include "libfs/device/device.h"
#include "libfs/format/geometry.h"
#include "libfs/journal/log_reader.h"

namespace xdax {

/// Appends the record and overwrites what records in flight may have left in the 2 MiB ahead of it. `summary` is of
/// this log and has a head. No barrier: the caller makes the changes durable before, and the record after. Throws
/// IoError.
void end_log(Device& device, const Geometry& geometry, const LogSummary& summary);

}  // namespace xdax
