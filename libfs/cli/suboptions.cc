#include "libfs/cli/suboptions.h"

#include <algorithm>

namespace xdax::cli {

std::expected<std::vector<Suboption>, std::string> split_suboptions(std::string_view text) {
  std::vector<Suboption> result;
  while (true) {
    const std::size_t comma = text.find(',');
    const std::string_view element = text.substr(0, comma);
    if (element.empty()) return std::unexpected("a suboption is missing");
    const std::size_t sign = element.find('=');
    Suboption option{.key = std::string(element.substr(0, sign)), .value = std::nullopt};
    if (option.key.empty()) return std::unexpected("'" + std::string(element) + "' has no name before =");
    if (sign != std::string_view::npos) option.value = std::string(element.substr(sign + 1));
    result.push_back(std::move(option));
    if (comma == std::string_view::npos) return result;
    text.remove_prefix(comma + 1);
  }
}

std::expected<std::vector<Suboption>, std::string> merge_suboptions(const std::vector<std::string>& lists) {
  std::vector<Suboption> result;
  for (const std::string& list : lists) {
    auto options = split_suboptions(list);
    if (!options) return std::unexpected(options.error());
    for (Suboption& option : *options) {
      const auto earlier =
          std::find_if(result.begin(), result.end(), [&](const Suboption& other) { return other.key == option.key; });
      if (earlier == result.end()) {
        result.push_back(std::move(option));
      } else if (*earlier != option) {
        return std::unexpected(option.key + " is given twice with different values");
      }
    }
  }
  return result;
}

}  // namespace xdax::cli
