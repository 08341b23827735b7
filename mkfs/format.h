// Writing a new filesystem to a device.
//
// The primary superblock is taken away first and written last, each between two barriers: whenever this stops, by an
// error, an interrupt or a power cut, the device holds either the finished filesystem or nothing that looks like one.
#pragma once

#include <atomic>

#include "libfs/device/device.h"
#include "mkfs/plan.h"

namespace xdax::mkfs {

struct FormatOptions {
  /// Tell a block device that everything on it is unused before writing.
  bool discard = true;
  /// Checked between writes; set by a signal handler. May be null.
  const std::atomic<bool>* cancelled = nullptr;
};

/// Formats `device` as `plan` says. Throws IoError or RefusalError (kCancelled, kReadOnly); then no superblock is on
/// the device.
void format_device(Device& device, const Plan& plan, const FormatOptions& options);

}  // namespace xdax::mkfs
