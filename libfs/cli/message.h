// Messages for people and logs: one line each on standard error.
#pragma once

#include <string>
#include <string_view>

namespace xdax::cli {

/// `text` on one line that is safe to print: line ends become "; ", other control characters "?". A path or a label
/// taken from a disk cannot move the cursor.
[[nodiscard]] std::string one_line(std::string_view text);

/// Prints "program: text" as exactly one line to standard error, in one write, so that lines of several threads or
/// processes do not mix. Never throws; thread-safe.
void error_line(std::string_view program, std::string_view text) noexcept;

}  // namespace xdax::cli
