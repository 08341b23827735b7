// The command line of fsck.xdax: what fsck(8) and its wrappers pass, and a few options of its own.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "libfs/device/device.h"

namespace xdax::fsck {

struct Options {
  std::vector<std::string> devices;
  bool read_only = false;          ///< -n
  bool yes = false;                ///< -y
  bool preen = false;              ///< -a, -p
  bool force = false;              ///< -f
  bool verbose = false;            ///< -v
  bool json = false;               ///< --json
  bool media = false;              ///< --media
  std::optional<int> progress_fd;  ///< -C[fd]
  unsigned threads = 0;            ///< 0: as many as there are processors
  /// --memory: bytes that lists collected to explain a difference may take.
  std::uint64_t memory_bytes = 256ull << 20;
  IoChoice io = IoChoice::kAuto;

  /// Only the superblock and the log: what -a and -p mean without -f.
  [[nodiscard]] bool quick() const { return preen && !force; }
};

struct ParsedOptions {
  Options options;
  /// Set when there is nothing to check: help, version, or a wrong command line.
  std::optional<int> exit_status;
  /// What to print then: to standard output when the status is 0, as one line of error otherwise.
  std::string message;
};

/// Never throws for anything on the command line.
[[nodiscard]] ParsedOptions parse_options(int argc, const char* const* argv);

}  // namespace xdax::fsck
