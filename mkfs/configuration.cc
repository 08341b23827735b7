#include "mkfs/configuration.h"

#include <fmt/format.h>
#include <ini.h>

#include <cerrno>
#include <cstdio>
#include <exception>
#include <memory>

#include "libfs/base/error.h"

namespace xdax::mkfs {
namespace {

struct Reading {
  const std::string& path;
  GivenOptions& given;
  std::exception_ptr failure;
};

// inih is C: nothing may be thrown through it. 0 makes it remember the line and go on.
int handle_line(void* user, const char* section, const char* name, const char* value) {
  auto& reading = *static_cast<Reading*>(user);
  if (reading.failure) return 0;
  try {
    add_configuration_line(
        reading.given, section,
        {.key = name, .value = value, .where = fmt::format("[{}] {} in {}", section, name, reading.path)});
    return 1;
  } catch (...) {
    reading.failure = std::current_exception();
    return 0;
  }
}

struct Closer {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

}  // namespace

void read_configuration(const std::string& path, GivenOptions& given) {
  const std::unique_ptr<std::FILE, Closer> file(std::fopen(path.c_str(), "re"));
  if (!file) {
    throw RefusalError(Errc::kOpenFailed,
                       fmt::format("-c options={}: cannot be read: {}", path, std::generic_category().message(errno)));
  }
  Reading reading{path, given, nullptr};
  const int line = ini_parse_file(file.get(), handle_line, &reading);
  if (reading.failure) std::rethrow_exception(reading.failure);
  if (line != 0) {
    throw RefusalError(
        Errc::kBadArgument,
        fmt::format("{}: line {} is neither [section], key=value nor a comment; mend it", path, line > 0 ? line : 1));
  }
}

}  // namespace xdax::mkfs
