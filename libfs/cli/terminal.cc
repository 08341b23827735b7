#include "libfs/cli/terminal.h"

#include <unistd.h>

#include <cstdlib>
#include <string_view>

namespace xdax::cli {
namespace {

std::string_view environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

}  // namespace

bool is_terminal(int fd) { return ::isatty(fd) == 1; }

bool use_colour(int fd) {
  const std::string_view terminal = environment("TERM");
  return is_terminal(fd) && environment("NO_COLOR").empty() && !terminal.empty() && terminal != "dumb";
}

}  // namespace xdax::cli
