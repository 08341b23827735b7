// fsck.xdax from arguments to exit status.
#pragma once

#include "fsck/options.h"
#include "fsck/report.h"

namespace xdax::fsck {

/// Checks one device as the options say. Opens it for reading only. Never throws for anything about the device.
[[nodiscard]] Outcome check_device(const std::string& path, const Options& options);

/// What fsck(8) is told of a check that was done: 0 when everything was looked at and well. A check that could not
/// compare everything, with no finding to say why, is 8 and never 0.
[[nodiscard]] int exit_status_of(const CheckResult& result, bool quick);

/// Runs the program: reports on standard output, errors one line each on standard error. Returns the sum of fsck(8).
int run_command(int argc, const char* const* argv);

}  // namespace xdax::fsck
