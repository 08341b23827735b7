#include "io/options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <iterator>

#include "libfs/cli/exit_codes.h"

namespace xdax::io {
namespace {

struct Row {
  Verb verb;
  const char* name;
  const char* help;
  bool path_needed;
};

constexpr Row kVerbs[] = {
    {Verb::kLs, "ls", "list a directory", false},
    {Verb::kStat, "stat", "show an inode", true},
    {Verb::kCat, "cat", "write the bytes of a file to standard output", true},
    {Verb::kTree, "tree", "show everything below a directory", false},
    {Verb::kExtents, "extents", "show where a file lies on the device", true},
    {Verb::kXattr, "xattr", "list extended attributes, or write the value of one", true},
    {Verb::kDigest, "digest", "a sum of every file and symbolic link, sorted by path", false},
};

struct Line {
  Options options;
  std::string io = "auto";
  bool version = false;
};

void declare_verb(CLI::App& app, const Row& row, Line& line) {
  Options& options = line.options;
  CLI::App* verb = app.add_subcommand(row.name, row.help);
  verb->add_option("IMAGE", options.image, "a device or an image")->required()->type_name("");
  CLI::Option* path = verb->add_option("PATH", options.path, "a path inside it")->type_name("");
  if (row.path_needed) path->required();
  switch (row.verb) {
    case Verb::kLs:
      verb->add_flag("-l", options.long_lines, "mode, links, owner, size and time of each");
      verb->add_flag("-R", options.recursive, "directories below it too");
      break;
    case Verb::kExtents:
      verb->add_flag("--attr", options.attr_fork, "of the attribute fork");
      break;
    case Verb::kXattr:
      verb->add_option("NAME", options.attribute, "user.x, trusted.x or security.x: write its value")->type_name("");
      break;
    default:
      break;
  }
  if (row.verb == Verb::kStat || row.verb == Verb::kExtents || row.verb == Verb::kXattr) {
    verb->add_flag("-L", options.follow, "follow a symbolic link at the end of the path");
  }
  if (row.verb != Verb::kCat) verb->add_flag("--json", options.json, "one JSON object a line");
  verb->add_option("--io", line.io, "how to read: auto, dax or uring")->type_name("HOW");
  verb->add_flag("--ignore-log", options.ignore_log, "read what is in place, whatever the log holds");
}

ParsedOptions usage_error(std::string message) {
  return {.options = {}, .exit_status = cli::kExitUsage, .message = std::move(message) + "; see xdax --help"};
}

}  // namespace

ParsedOptions parse_options(int argc, const char* const* argv) {
  CLI::App app("Looks into an XFS filesystem (version 5) without mounting or changing it.", "xdax");
  Line line;
  app.add_flag("-V,--version", line.version, "print the version and exit");
  app.require_subcommand(0, 1);
  for (const Row& row : kVerbs) declare_verb(app, row, line);
  // --help describes every verb with its options, and so does the help of one verb.
  app.set_help_flag();
  app.set_help_all_flag("-h,--help", "print this help and exit");
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    return {.options = {}, .exit_status = 0, .message = app.help("", CLI::AppFormatMode::All)};
  } catch (const CLI::CallForAllHelp&) {
    return {.options = {}, .exit_status = 0, .message = app.help("", CLI::AppFormatMode::All)};
  } catch (const CLI::ParseError& error) {
    return usage_error(error.what());
  }
  if (line.version) return {.options = {}, .exit_status = 0, .message = "xdax " XDAX_VERSION "\n"};
  Options& options = line.options;
  const auto chosen = app.get_subcommands();
  if (chosen.empty()) return usage_error("no verb is given");
  for (const Row& row : kVerbs) {
    if (chosen.front()->get_name() == row.name) options.verb = row.verb;
  }
  const std::optional<IoChoice> io = parse_io_choice(line.io);
  if (!io) return usage_error(fmt::format("--io: \"{}\" is not auto, dax or uring", line.io));
  options.io = *io;
  return {.options = std::move(options), .exit_status = std::nullopt, .message = {}};
}

}  // namespace xdax::io
