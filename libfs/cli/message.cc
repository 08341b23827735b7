#include "libfs/cli/message.h"

#include <unistd.h>

#include <cerrno>
#include <exception>

namespace xdax::cli {

std::string one_line(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.remove_suffix(1);
  std::string result;
  result.reserve(text.size());
  for (const char character : text) {
    const auto code = static_cast<unsigned char>(character);
    if (character == '\n')
      result += "; ";
    else if (code < 0x20 || code == 0x7f)
      result += '?';
    else
      result += character;
  }
  return result;
}

void error_line(std::string_view program, std::string_view text) noexcept {
  try {
    const std::string line = one_line(program) + ": " + one_line(text) + "\n";
    std::string_view rest = line;
    while (!rest.empty()) {
      const ssize_t count = ::write(STDERR_FILENO, rest.data(), rest.size());
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) return;
      rest.remove_prefix(static_cast<std::size_t>(count));
    }
  } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch)
    // Out of memory while reporting: nothing is left to do.
  }
}

}  // namespace xdax::cli
