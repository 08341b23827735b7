// xdax_repair from arguments to exit status.
#pragma once

namespace xdax::repair {

/// Exit statuses of xdax_repair.
enum Exit : int {
  kDone = 0,        ///< replayed, or nothing was to be done
  kWouldWrite = 1,  ///< -n: there is something to be done
  kUsage = 2,       ///< the command line is wrong
  kRefused = 4,     ///< it cannot be done, or not wholly; nothing was written
  kFailed = 8,      ///< the device failed or cannot be opened; a run that was writing is finished by the next one
};

/// Runs the program: results on standard output, an error as one line on standard error. Never throws.
int run_command(int argc, const char* const* argv);

}  // namespace xdax::repair
