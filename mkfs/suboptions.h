// The option groups of mkfs.xdax: which suboptions exist behind -b -d -i -l -m -n -s, what values they take, which
// exclude each other, and how they fill a FormatRequest.
//
// One table row a suboption; the command line and the configuration file go through the same table. Errors are
// RefusalError (kBadArgument) with one line that names the option, what is wrong and what would be right. Pure.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "mkfs/request.h"

namespace xdax::mkfs {

/// One suboption as given: `value` is empty when there was no '='.
struct GivenSuboption {
  std::string key;
  std::optional<std::string> value;
  /// For messages: "-d agcount" or "[data] agcount in FILE".
  std::string where;
};

/// Everything given, by group letter ('b', 'd', 'i', 'l', 'm', 'n', 's').
using GivenOptions = std::map<char, std::vector<GivenSuboption>>;

/// Splits the lists of one group ("a=1,b=2") from the command line and adds them. The same key twice with different
/// values is refused; the same value twice is not.
void add_command_line_lists(GivenOptions& given, char group, const std::vector<std::string>& lists);

/// The group letter of a configuration file section ("data", "inode" ...), or '\0'.
[[nodiscard]] char group_of_section(std::string_view section);

/// Adds one line of a configuration file. A key that the command line also gives with another value is refused.
void add_configuration_line(GivenOptions& given, std::string_view section, GivenSuboption suboption);

/// Fills `request` from everything given. Sizes with the suffixes b and s use the block and sector size given.
void apply_given_options(const GivenOptions& given, FormatRequest& request);

}  // namespace xdax::mkfs
