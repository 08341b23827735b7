// Standard output of the verbs: buffered, and a failure to write is an error like any other.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "libfs/base/bytes.h"

namespace xdax::io {

/// A name or target from the disk, safe to print.
[[nodiscard]] std::string printable(std::string_view name);

class Output {
 public:
  Output() = default;
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  /// Each throws IoError (kWriteFailed).
  void text(std::string_view text);
  void bytes(ByteSpan bytes);
  /// One object on one line; bytes that are no UTF-8 become U+FFFD.
  void json(const nlohmann::ordered_json& object);
  /// Writes what is buffered. Called at the end, also after an error: what was found before it is worth having.
  void flush();

 private:
  std::string buffer_;
};

}  // namespace xdax::io
