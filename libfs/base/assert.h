// Assertions that stay on in release builds.
//
// XDAX_ASSERT states what the *programmer* guarantees. Bytes from a disk never reach one: they are checked by
// verifiers, which return flaws. A failed assertion prints one line and aborts.
#pragma once

namespace xdax {

/// Prints `expression`, `file` and `line` to standard error and aborts. Never returns.
[[noreturn]] void assertion_failed(const char* expression, const char* file, int line) noexcept;

}  // namespace xdax

#define XDAX_ASSERT(expression) \
  (__builtin_expect(!!(expression), 1) ? void(0) : ::xdax::assertion_failed(#expression, __FILE__, __LINE__))
