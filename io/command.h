// xdax from arguments to exit status.
#pragma once

namespace xdax::io {

/// Runs the program: results on standard output, an error as one line on standard error. Returns 0, 1 (failed or
/// refused) or 2 (the command line is wrong). Never throws.
int run_command(int argc, const char* const* argv);

}  // namespace xdax::io
