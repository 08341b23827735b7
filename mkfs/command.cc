#include "mkfs/command.h"

#include <fmt/format.h>
#include <signal.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>

#include "libfs/base/error.h"
#include "libfs/cli/exit_codes.h"
#include "libfs/cli/message.h"
#include "mkfs/configuration.h"
#include "mkfs/format.h"
#include "mkfs/report.h"
#include "mkfs/suboptions.h"
#include "mkfs/target.h"

namespace xdax::mkfs {
namespace {

constexpr const char* kProgram = "mkfs.xdax";

// The one thing a signal handler may touch.
std::atomic<bool> g_cancelled = false;

extern "C" void on_cancel(int) { g_cancelled.store(true, std::memory_order_relaxed); }

void install_cancel_handlers() {
  struct sigaction action{};
  action.sa_handler = on_cancel;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

[[noreturn]] void refuse(const std::string& text) { throw RefusalError(Errc::kBadArgument, text); }

struct CommandLine {
  std::map<char, std::vector<std::string>> groups;
  std::vector<std::string> configurations;
  std::vector<std::string> operands;
  std::vector<std::string> realtime;
  std::vector<std::string> prototype;
  std::vector<std::string> labels;
  std::vector<std::string> uuids;
  std::string io = "auto";
  FormatRequest request;
  bool version = false;
};

void declare_options(CLI::App& app, CommandLine& line) {
  const auto group = [&](char letter, const char* type, const char* help) {
    app.add_option(fmt::format("-{}", letter), line.groups[letter], help)
        ->type_name(type)
        ->allow_extra_args(false)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  };
  group('b', "size=N", "block size, 1k to 64k (4k)");
  group('d', "LIST",
        "data: agcount= agsize= size= su= sw= sunit= swidth= noalign sectsize= file name= projinherit= extszinherit= "
        "cowextsize= daxinherit=");
  group('i', "LIST", "inodes: size= perblock= maxpct= sparse= nrext64= exchange=");
  group('l', "LIST", "log: size= agnum= su= sunit= sectsize= internal");
  group('m', "LIST", "metadata: finobt= rmapbt= reflink= inobtcount= bigtime= uuid=");
  group('n', "LIST", "naming: size= version=2|ci parent=");
  group('s', "size=N", "sector size, 512 to 32k (the device's)");
  const auto many = [&](const char* name, std::vector<std::string>& into, const char* type, const char* help) {
    return app.add_option(name, into, help)
        ->type_name(type)
        ->allow_extra_args(false)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  };
  many("-c", line.configurations, "options=FILE", "read options from an INI file");
  many("-L,--label", line.labels, "LABEL", "label of at most 12 bytes");
  many("--uuid", line.uuids, "UUID", "the filesystem's uuid, as -m uuid=");
  many("-r", line.realtime, "LIST", "realtime devices: not supported")->group("");
  many("-p", line.prototype, "FILE", "prototype files: not supported")->group("");
  app.add_option("--io", line.io, "how to reach the device: auto, dax or uring")->type_name("HOW");
  app.add_flag("-f,--force", line.request.force, "overwrite what the device holds");
  app.add_flag("-K", line.request.no_discard, "do not discard the device's blocks first");
  app.add_flag("-N,--dry-run", line.request.dry_run, "show the geometry, write nothing");
  app.add_flag("-q,--quiet", line.request.quiet, "do not show the geometry");
  app.add_flag("-V,--version", line.version, "show the version");
  app.add_flag("--dax", line.request.dax, "align for 2 MiB page faults and make files DAX by default");
  app.add_flag("--allow-tiny", line.request.allow_tiny, "allow filesystems below 300m, down to 16m");
  app.add_flag("--json", line.request.json, "show the geometry as JSON");
  app.add_option("device", line.operands, "block device or image file");
}

template <class T>
T single(const std::vector<T>& values, const char* option, const T& fallback) {
  for (const T& value : values) {
    if (value != values.front())
      refuse(fmt::format("{}: given as {} and as {}; give it once", option, values.front(), value));
  }
  return values.empty() ? fallback : values.front();
}

// SOURCE_DATE_EPOCH makes images reproducible; see https://reproducible-builds.org/specs/source-date-epoch/.
void set_time(FormatRequest& request) {
  if (const char* epoch = std::getenv("SOURCE_DATE_EPOCH"); epoch != nullptr && *epoch != '\0') {
    const std::string_view text(epoch);
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), request.time_seconds);
    if (error != std::errc() || end != text.data() + text.size() || request.time_seconds < 0) {
      refuse(fmt::format("SOURCE_DATE_EPOCH={}: not a number of seconds since 1970; mend it or unset it", text));
    }
    return;
  }
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  request.time_seconds = std::chrono::duration_cast<std::chrono::seconds>(now).count();
  request.time_nanoseconds =
      static_cast<std::uint32_t>((now - std::chrono::seconds(request.time_seconds)) / std::chrono::nanoseconds(1));
}

FormatRequest complete_request(CommandLine& line) {
  if (!line.realtime.empty())
    throw RefusalError(Errc::kNotSupported, "-r: realtime devices are not supported; leave it out");
  if (!line.prototype.empty())
    throw RefusalError(Errc::kNotSupported, "-p: prototype files are not supported; leave it out");
  GivenOptions given;
  // Beside -m uuid=, so that the two cannot say different things.
  if (!line.uuids.empty()) line.groups['m'].push_back("uuid=" + single(line.uuids, "--uuid", std::string()));
  for (const auto& [group, lists] : line.groups) add_command_line_lists(given, group, lists);
  const std::string configuration = single(line.configurations, "-c", std::string());
  if (!line.configurations.empty()) {
    constexpr std::string_view kKey = "options=";
    if (!configuration.starts_with(kKey)) refuse(fmt::format("-c {}: give -c options=FILE", configuration));
    read_configuration(configuration.substr(kKey.size()), given);
  }
  FormatRequest& request = line.request;
  apply_given_options(given, request);
  request.label = single(line.labels, "-L", std::string());
  const auto io = parse_io_choice(line.io);
  if (!io) refuse(fmt::format("--io={}: give auto, dax or uring", line.io));
  request.io = *io;
  set_time(request);
  return request;
}

std::string target_path(const CommandLine& line, const FormatRequest& request) {
  std::vector<std::string> paths = line.operands;
  if (request.data_name) paths.insert(paths.begin(), *request.data_name);
  if (paths.empty()) refuse("no device given; name a block device or an image file, or see mkfs.xdax --help");
  // A number behind the device is how some installers still give a size in blocks; it must not be mistaken for
  // anything.
  if (paths.size() > 1)
    refuse(fmt::format("{}: one device only, but {} is given too; for a size give -d size=SIZE", paths[0], paths[1]));
  return paths.front();
}

int format_or_show(const std::string& path, const FormatRequest& request) {
  const std::unique_ptr<Device> device = open_target(path, request);
  Plan plan;
  try {
    plan = make_plan(request, DeviceFacts::of(*device));
  } catch (const RefusalError& error) {
    throw RefusalError(error.cause(), fmt::format("{}: {}", path, error.what()));
  }
  for (const std::string& note : plan.notes) cli::error_line(kProgram, fmt::format("note: {}: {}", path, note));
  const bool write = !request.dry_run;
  if (!request.quiet && !request.json) std::fputs(geometry_text(plan, path).c_str(), stdout);
  std::fflush(stdout);
  if (write) format_device(*device, plan, {.discard = !request.no_discard, .cancelled = &g_cancelled});
  if (request.json) std::fputs(geometry_json(plan, path, write).c_str(), stdout);
  return cli::kExitSuccess;
}

}  // namespace

int run_command(int argc, const char* const* argv) {
  CLI::App app("Make an XFS filesystem", kProgram);
  app.footer("Sizes take the suffixes s b k m g t p e. See mkfs.xdax(8).");
  CommandLine line;
  declare_options(app, line);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    cli::error_line(kProgram, fmt::format("{}; see mkfs.xdax --help", error.what()));
    return cli::kExitFailure;
  }
  try {
    if (line.version) {
      fmt::print("{} {}\n", kProgram, XDAX_VERSION);
      return cli::kExitSuccess;
    }
    const FormatRequest request = complete_request(line);
    install_cancel_handlers();
    return format_or_show(target_path(line, request), request);
  } catch (const Error& error) {
    cli::error_line(kProgram, error.what());
  } catch (const std::bad_alloc&) {
    cli::error_line(kProgram, "out of memory; nothing was finished");
  }
  return cli::kExitFailure;
}

}  // namespace xdax::mkfs
