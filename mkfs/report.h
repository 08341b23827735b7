// What mkfs.xdax tells about a plan: the geometry block that scripts parse, or JSON.
#pragma once

#include <string>

#include "mkfs/plan.h"

namespace xdax::mkfs {

/// The nine lines xfs_info prints, each ended.
[[nodiscard]] std::string geometry_text(const Plan& plan, const std::string& device_name);

/// One JSON object, documented in mkfs.xdax(8); `schema` 1.
[[nodiscard]] std::string geometry_json(const Plan& plan, const std::string& device_name, bool written);

}  // namespace xdax::mkfs
