// The command line of mkfs.xdax, from arguments to exit status.
#pragma once

namespace xdax::mkfs {

/// Runs the program. Messages go to standard error, the geometry to standard output. Returns 0, or 1 for everything
/// that went wrong, as mkfs(8) does. Installs handlers for SIGINT and SIGTERM that stop the formatting at the next
/// write.
int run_command(int argc, const char* const* argv);

}  // namespace xdax::mkfs
