#include "repair/options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "repair/command.h"

namespace xdax::repair {
namespace {

ParsedOptions usage_error(std::string message) {
  return {.options = {}, .exit_status = kUsage, .message = std::move(message) + "; see xdax_repair --help"};
}

}  // namespace

ParsedOptions parse_options(int argc, const char* const* argv) {
  CLI::App app("Replays the log of an XFS filesystem (version 5) without mounting it.", "xdax_repair");
  Options options;
  std::string io = "auto";
  bool replay_only = false;
  bool version = false;
  app.add_option("device", options.device, "a device or an image")->type_name("DEVICE");
  app.add_flag("--replay-only", replay_only, "replay the log and do nothing else (this version can do nothing else)");
  app.add_flag("-n", options.rehearse, "write nothing; say what would be done");
  app.add_flag("-v", options.verbose, "name the files the log is about");
  app.add_flag("--json", options.json, "print one JSON object");
  app.add_option("--io", io, "how to read and write: auto, dax or uring")->type_name("HOW");
  app.add_flag("-V,--version", version, "print the version and exit");
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    return {.options = {}, .exit_status = 0, .message = app.help()};
  } catch (const CLI::ParseError& error) {
    return usage_error(error.what());
  }
  if (version) return {.options = {}, .exit_status = 0, .message = "xdax_repair " XDAX_VERSION "\n"};
  if (options.device.empty()) return usage_error("no device is given");
  if (!replay_only) return usage_error("this version only replays logs, which --replay-only asks for");
  const std::optional<IoChoice> choice = parse_io_choice(io);
  if (!choice) return usage_error(fmt::format("--io: \"{}\" is not auto, dax or uring", io));
  options.io = *choice;
  return {.options = std::move(options), .exit_status = std::nullopt, .message = {}};
}

}  // namespace xdax::repair
