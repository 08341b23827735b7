// Configuration files: "-c options=FILE", an INI file whose sections are the option groups.
#pragma once

#include <string>

#include "mkfs/suboptions.h"

namespace xdax::mkfs {

/// Reads `path` into `given`. Throws RefusalError (kOpenFailed, kBadArgument) naming file and line. What the command
/// line says too must say the same.
void read_configuration(const std::string& path, GivenOptions& given);

}  // namespace xdax::mkfs
