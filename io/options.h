// The command line of xdax: a verb, then the image, then a path inside it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "libfs/device/device.h"

namespace xdax::io {

enum class Verb : std::uint8_t {
  kLs,
  kStat,
  kCat,
  kTree,
  kExtents,
  kXattr,
  kDigest,
  // These change the image.
  kMkdir,
  kPut,
  kRm,
  kMv,
  kLn,
  kSetfattr,
  kTruncate,
  kFallocate,
};
[[nodiscard]] constexpr bool changes(Verb verb) { return verb >= Verb::kMkdir; }

struct Options {
  Verb verb = Verb::kLs;
  std::string image;
  std::string path = "/";
  std::string attribute;    ///< xattr: the one whose value is wanted; empty: list them
  bool long_lines = false;  ///< ls -l
  bool recursive = false;   ///< ls -R
  bool attr_fork = false;   ///< extents --attr
  bool follow = false;      ///< stat, extents, xattr -L
  // Of the verbs that change.
  std::string other;        ///< put: the local file; mv, ln: the new name; setfattr: the attribute
  std::string value;        ///< setfattr
  bool symbolic = false;    ///< ln -s
  bool parents = false;     ///< mkdir -p
  bool remove = false;      ///< setfattr -x
  bool no_replace = false;  ///< mv -n, put -n
  bool exchange = false;    ///< mv --exchange
  std::uint32_t mode = 0;   ///< permissions of what is made
  std::uint32_t uid = 0, gid = 0;
  std::uint64_t offset_bytes = 0, length_bytes = 0;
  bool keep_size = false, punch = false, zero = false, collapse = false, insert = false;  ///< fallocate
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
