// The command line of xdax: a verb, then the image, then a path inside it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "libfs/device/device.h"

namespace xdax::io {

enum class Verb : std::uint8_t { kLs, kStat, kCat, kTree, kExtents, kXattr, kDigest };

struct Options {
  Verb verb = Verb::kLs;
  std::string image;
  std::string path = "/";
  std::string attribute;    ///< xattr: the one whose value is wanted; empty: list them
  bool long_lines = false;  ///< ls -l
  bool recursive = false;   ///< ls -R
  bool attr_fork = false;   ///< extents --attr
  bool follow = false;      ///< stat, extents, xattr -L
  bool json = false;
  bool ignore_log = false;
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

}  // namespace xdax::io
