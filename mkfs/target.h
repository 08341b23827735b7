// The device to format: opening it, and refusing it when it holds something.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "libfs/device/device.h"
#include "mkfs/request.h"

namespace xdax::mkfs {

/// What stands on the device already, e.g. "an ext4 filesystem (label \"home\")" or "a dos partition table"; nullopt
/// when libblkid finds nothing. Reads only. Throws RefusalError (kOpenFailed) when it cannot look.
[[nodiscard]] std::optional<std::string> find_signature(const std::string& path);

/// Refuses `path` when it holds a signature and the request does not force; opens it, for reading only in a dry run.
/// With file=1, or when the path does not exist and a size is given, the image is created or grown. Throws
/// RefusalError.
[[nodiscard]] std::unique_ptr<Device> open_target(const std::string& path, const FormatRequest& request);

}  // namespace xdax::mkfs
