// Suboption lists: "agcount=4,su=64k,noalign" as mkfs programs take them behind -d, -l, -m and others.
#pragma once

#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace xdax::cli {

struct Suboption {
  std::string key;
  /// What stands behind the first `=`, possibly empty; nothing when there is no `=`.
  std::optional<std::string> value;

  bool operator==(const Suboption&) const = default;
};

/// Splits a list at its commas. The error, one clause, is about an empty list or element or a missing key; keys and
/// values are the caller's to know.
[[nodiscard]] std::expected<std::vector<Suboption>, std::string> split_suboptions(std::string_view text);

/// Splits every list given to one option ("-d a=1 -d b=2" gives two) and joins them in order. The same key twice with
/// the same value is kept once; with different values it is an error that names the key.
[[nodiscard]] std::expected<std::vector<Suboption>, std::string> merge_suboptions(
    const std::vector<std::string>& lists);

}  // namespace xdax::cli
