#include "libfs/base/assert.h"

#include <cstdio>
#include <cstdlib>

namespace xdax {

void assertion_failed(const char* expression, const char* file, int line) noexcept {
  std::fprintf(stderr, "xdax: internal error: %s is false at %s:%d; this is a bug, please report it\n", expression,
               file, line);
  std::abort();
}

}  // namespace xdax
