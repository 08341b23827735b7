#include "tests/support/xfs_db.h"

#include <charconv>
#include <limits>
#include <sstream>
#include <stdexcept>
#include <string_view>

#include "tests/support/process.h"

namespace xdax::test {
namespace {

std::vector<std::string> command_line(const std::filesystem::path& image, const std::vector<std::string>& commands,
                                      const char* mode) {
  std::vector<std::string> argv = {"xfs_db", mode};
  if (std::filesystem::is_regular_file(image)) argv.push_back("-f");
  for (const std::string& command : commands) argv.insert(argv.end(), {"-c", command});
  argv.push_back(image.string());
  return argv;
}

}  // namespace

const std::string& XfsDbOutput::at(const std::string& name) const {
  const auto found = fields.find(name);
  if (found == fields.end()) throw std::runtime_error("xfs_db did not print " + name + "; it printed:\n" + text);
  return found->second;
}

std::uint64_t XfsDbOutput::number(const std::string& name) const {
  std::string_view value = at(name);
  value = value.substr(0, value.find(' '));
  if (value == "null") return std::numeric_limits<std::uint64_t>::max();
  int base = 10;
  if (value.starts_with("0x")) {
    base = 16;
    value.remove_prefix(2);
  }
  std::uint64_t result = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), result, base);
  if (error != std::errc{} || end != value.data() + value.size()) {
    throw std::runtime_error("xfs_db's " + name + " is not a number: " + at(name));
  }
  return result;
}

XfsDbOutput parse_xfs_db(const std::string& text) {
  XfsDbOutput result;
  result.text = text;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t sign = line.find(" = ");
    if (sign != std::string::npos) result.fields[line.substr(0, sign)] = line.substr(sign + 3);
  }
  return result;
}

XfsDbOutput xfs_db(const std::filesystem::path& image, const std::vector<std::string>& commands) {
  const ProcessResult result = run_or_throw(command_line(image, commands, "-r"));
  if (!result.err.empty()) throw std::runtime_error(result.describe());
  return parse_xfs_db(result.out);
}

XfsDbOutput xfs_db_write(const std::filesystem::path& image, const std::vector<std::string>& commands) {
  return parse_xfs_db(run_or_throw(command_line(image, commands, "-x")).out);
}

}  // namespace xdax::test
