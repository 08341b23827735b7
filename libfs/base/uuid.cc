#include "libfs/base/uuid.h"

#include <uuid/uuid.h>

namespace xdax {

bool Uuid::is_nil() const { return *this == Uuid{}; }

std::string Uuid::to_string() const {
  char text[UUID_STR_LEN];
  uuid_unparse_lower(bytes.data(), text);
  return text;
}

std::optional<Uuid> Uuid::parse(std::string_view text) {
  // libuuid stops at a NUL; what follows one would pass unseen.
  if (text.size() != UUID_STR_LEN - 1) return std::nullopt;
  Uuid result;
  const std::string terminated(text);
  if (uuid_parse(terminated.c_str(), result.bytes.data()) != 0) return std::nullopt;
  return result;
}

Uuid Uuid::random() {
  Uuid result;
  uuid_generate_random(result.bytes.data());
  return result;
}

}  // namespace xdax
