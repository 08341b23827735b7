#include "fsck/options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <string_view>

#include "libfs/cli/exit_codes.h"
#include "libfs/cli/parse_size.h"

namespace xdax::fsck {
namespace {

constexpr unsigned kMaxThreads = 1024;
constexpr std::uint64_t kMinMemoryBytes = 1u << 20;

bool is_number(std::string_view text) {
  if (!text.empty() && text.front() == '-') text.remove_prefix(1);
  return !text.empty() && text.size() <= 5 &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// -C takes a number behind it or after it, or none: "-C", "-C3", "-C 3", "-fC3". An option that may have an argument
// would swallow the device, so it is spelled out as --progress=N first.
std::vector<std::string> spell_out(int argc, const char* const* argv) {
  std::vector<std::string> result;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--") {
      result.insert(result.end(), argv + i, argv + argc);
      break;
    }
    const std::size_t at = word.starts_with("--") || !word.starts_with('-') ? std::string_view::npos : word.find('C');
    if (at == std::string_view::npos) {
      result.emplace_back(word);
      continue;
    }
    if (at > 1) result.emplace_back(word.substr(0, at));
    std::string_view number = word.substr(at + 1);
    if (number.empty() && i + 1 < argc && is_number(argv[i + 1])) number = argv[++i];
    if (!number.empty() && !is_number(number)) {
      // More letters behind it: "-Cf".
      result.emplace_back("--progress=0");
      result.push_back("-" + std::string(number));
      continue;
    }
    result.push_back("--progress=" + std::string(number.empty() ? "0" : number));
  }
  return result;
}

struct Line {
  Options options;
  std::string io = "auto";
  std::string memory;
  bool version = false;
};

void declare(CLI::App& app, Line& line) {
  Options& options = line.options;
  app.add_option("device", options.devices, "devices or images to check")->type_name("DEVICE");
  app.add_flag("-n", options.read_only, "only look; a mounted device may be looked at");
  app.add_flag("-y", options.yes, "repair everything (this version cannot repair)");
  app.add_flag("-a,-p", options.preen, "at boot: look at superblock and log only, unless -f is given");
  app.add_flag("-f", options.force, "check everything, with -a and -p too");
  app.add_flag("-v", options.verbose, "say what was checked, even when it is clean");
  app.add_flag("-V,--version", line.version, "print the version and exit");
  app.add_option("--progress", options.progress_fd, "-C[FD]: progress lines to descriptor FD; 0: standard output")
      ->type_name("FD");
  app.add_flag("--media", options.media, "read everything in use too, and name the files that cannot be read");
  app.add_flag("--json", options.json, "print one JSON object for each device");
  app.add_option("--threads", options.threads,
                 "what is checked at once (default: the number of processors, at least 8 where reading may wait)")
      ->check(CLI::Range(1u, kMaxThreads))
      ->type_name("N");
  app.add_option("--memory", line.memory, "what lists made to explain a difference may take (default: 256m)")
      ->type_name("SIZE");
  app.add_option("--io", line.io, "how to read: auto, dax or uring")->type_name("HOW");
  // What the fsck wrapper or an administrator's habit passes, and what means nothing here.
  for (const char* ignored : {"-t", "-T", "-M", "-R", "-r"}) app.add_flag(ignored)->group("");
}

ParsedOptions usage_error(std::string message) {
  return {.options = {}, .exit_status = cli::kFsckUsage, .message = std::move(message) + "; see fsck.xdax --help"};
}

}  // namespace

ParsedOptions parse_options(int argc, const char* const* argv) {
  CLI::App app("Checks an XFS filesystem (version 5) without changing it.", "fsck.xdax");
  Line line;
  declare(app, line);
  std::vector<std::string> words = spell_out(argc, argv);
  std::reverse(words.begin(), words.end());
  try {
    app.parse(words);
  } catch (const CLI::CallForHelp&) {
    return {.options = {}, .exit_status = 0, .message = app.help()};
  } catch (const CLI::ParseError& error) {
    return usage_error(error.what());
  }
  if (line.version) return {.options = {}, .exit_status = 0, .message = "fsck.xdax " XDAX_VERSION "\n"};
  Options& options = line.options;
  if (options.read_only + options.yes + options.preen > 1)
    return usage_error("only one of -n, -y and -a (or -p) may be given");
  if (options.media && options.quick()) return usage_error("--media with -a or -p needs -f");
  if (options.devices.empty()) return usage_error("no device is given");
  const std::optional<IoChoice> io = parse_io_choice(line.io);
  if (!io) return usage_error(fmt::format("--io: \"{}\" is not auto, dax or uring", line.io));
  options.io = *io;
  if (!line.memory.empty()) {
    const auto memory = cli::parse_size(line.memory);
    if (!memory) return usage_error(fmt::format("--memory={}: {}", line.memory, memory.error()));
    if (*memory < kMinMemoryBytes) return usage_error(fmt::format("--memory={}: give at least 1m", line.memory));
    options.memory_bytes = *memory;
  }
  return {.options = std::move(options), .exit_status = std::nullopt, .message = {}};
}

}  // namespace xdax::fsck
