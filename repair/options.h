// The command line of xdax_repair.
#pragma once

#include <optional>
#include <string>

#include "libfs/device/device.h"

namespace xdax::repair {

struct Options {
  std::string device;
  bool rehearse = false;  ///< -n
  bool verbose = false;   ///< -v
  bool json = false;
  IoChoice io = IoChoice::kAuto;
};

struct ParsedOptions {
  Options options;
  /// Set when there is nothing to do: help, version, or a wrong command line.
  std::optional<int> exit_status;
  /// What to print then: to standard output when the status is 0, as one line of error otherwise.
  std::string message;
};

/// Never throws for anything on the command line.
[[nodiscard]] ParsedOptions parse_options(int argc, const char* const* argv);

}  // namespace xdax::repair
