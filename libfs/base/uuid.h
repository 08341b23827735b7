// A 16-byte UUID as it lies on disk (network byte order).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace xdax {

struct Uuid {
  std::array<std::uint8_t, 16> bytes{};

  bool operator==(const Uuid&) const = default;
  [[nodiscard]] bool is_nil() const;
  /// Lower case, 8-4-4-4-12.
  [[nodiscard]] std::string to_string() const;
  /// Accepts the 8-4-4-4-12 form in either case; nullopt for anything else.
  [[nodiscard]] static std::optional<Uuid> parse(std::string_view text);
  /// A random (version 4) UUID from the system's random source. Thread-safe.
  [[nodiscard]] static Uuid random();
};
static_assert(sizeof(Uuid) == 16 && alignof(Uuid) == 1);

}  // namespace xdax
