// Who else holds a path: mounts, swap, loop devices, other processes.
//
// A tool that writes under a mounted filesystem destroys it, and one that checks under it reports nonsense. The kernel
// refuses a second exclusive opening of a block device; what it does not know (the image file behind a mounted loop
// device, another run of our own tools on the same image) is found here. Every answer is one line fit to show.
// Thread-safe: no state.
#pragma once

#include <sys/stat.h>

#include <optional>
#include <string>

#include "libfs/device/device.h"

namespace xdax {

/// Where the host publishes its tables; tests point it at tables of their own.
struct SystemTables {
  std::string mountinfo = "/proc/self/mountinfo";
  std::string swaps = "/proc/swaps";
  std::string sysfs = "/sys";
};

/// Who uses the block device or regular file `status`, as an end of the sentence "PATH: ..."; nullopt when nobody is
/// found. Looks at mounts, swap, partitions, holders (device mapper, RAID) and loop devices. Missing tables count as
/// empty.
[[nodiscard]] std::optional<std::string> find_holder(const struct stat& status, const SystemTables& tables);

/// Takes an advisory lock on an open descriptor: exclusive for writing, shared for reading. Waits up to a second on a
/// block device, because udev locks one briefly to probe it. Throws RefusalError (kInUse) when another process holds
/// it; a host that knows no locks is accepted.
void lock_for_use(int descriptor, const std::string& name, OpenMode mode, bool block_device);

}  // namespace xdax
