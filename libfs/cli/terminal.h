// What may be written to a descriptor: whether it is a terminal, and whether colour is wanted there.
#pragma once

namespace xdax::cli {

[[nodiscard]] bool is_terminal(int fd);

/// Colour only on a terminal that can show it (TERM is set and not "dumb"), and never when NO_COLOR is set to
/// anything but nothing.
[[nodiscard]] bool use_colour(int fd);

}  // namespace xdax::cli
