#include "io/options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <iterator>

#include "libfs/cli/exit_codes.h"
#include "libfs/cli/parse_size.h"

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
    {Verb::kMkdir, "mkdir", "make a directory", true},
    {Verb::kPut, "put", "copy a local file, or standard input, into the image", true},
    {Verb::kRm, "rm", "remove a name, with -r a directory and all below it", true},
    {Verb::kMv, "mv", "give a file or a directory another name", true},
    {Verb::kLn, "ln", "give a file one more name, or make a symbolic link", true},
    {Verb::kSetfattr, "setfattr", "set or remove an extended attribute", true},
    {Verb::kTruncate, "truncate", "set the size of a file", true},
    {Verb::kFallocate, "fallocate", "allocate, punch, zero, take out or open a range of a file", true},
};

struct Line {
  Options options;
  std::string io = "auto";
  std::string mode;
  std::string owner;
  std::string offset = "0", length;
  bool version = false;
};

// The options and arguments of the verbs that change.
void declare_change(CLI::App* verb, const Row& row, Line& line) {
  Options& options = line.options;
  const auto argument = [&](const char* name, std::string& value, const char* help) {
    return verb->add_option(name, value, help)->type_name("");
  };
  switch (row.verb) {
    case Verb::kMkdir:
      verb->add_flag("-p", options.parents, "the directories above it too; none that is there is an error");
      break;
    case Verb::kPut:
      argument("FILE", options.other, "a local file; - is standard input")->required();
      verb->add_flag("-n", options.no_replace, "do not replace a file that is there");
      break;
    case Verb::kRm:
      verb->add_flag("-r", options.recursive, "a directory and all below it");
      break;
    case Verb::kMv:
      argument("NEW", options.other, "its new path")->required();
      verb->add_flag("-n", options.no_replace, "do not replace what is there");
      verb->add_flag("--exchange", options.exchange, "let the two change places");
      break;
    case Verb::kLn:
      argument("NEW", options.other, "the path of the new name; with -s, PATH is the text of the link")->required();
      verb->add_flag("-s", options.symbolic, "a symbolic link");
      break;
    case Verb::kSetfattr:
      argument("NAME", options.other, "user.x, trusted.x or security.x")->required();
      argument("VALUE", options.value, "its value; nothing for an empty one");
      verb->add_flag("-x", options.remove, "remove it");
      break;
    case Verb::kTruncate:
      argument("SIZE", line.length, "bytes, or with a suffix k m g t p e")->required();
      break;
    case Verb::kFallocate:
      argument("OFFSET", line.offset, "where the range starts")->required();
      argument("LENGTH", line.length, "how long it is")->required();
      verb->add_flag("--keep-size", options.keep_size, "the file does not grow");
      verb->add_flag("--punch", options.punch, "give the range back: it reads as zeros");
      verb->add_flag("--zero", options.zero, "make the range zeros that have space");
      verb->add_flag("--collapse", options.collapse, "take the range out");
      verb->add_flag("--insert", options.insert, "open a hole");
      break;
    default:
      break;
  }
  if (row.verb == Verb::kMkdir || row.verb == Verb::kPut) {
    argument("--mode", line.mode, "permissions, octal (0755 for directories, 0644 for files)");
  }
  if (row.verb == Verb::kMkdir || row.verb == Verb::kPut || row.verb == Verb::kLn) {
    argument("--owner", line.owner, "UID:GID of what is made (0:0)");
  }
}

// What is left to parse of these; a clause when it is wrong.
std::optional<std::string> finish_change(Line& line) {
  Options& options = line.options;
  options.mode = options.verb == Verb::kMkdir ? 0755 : 0644;
  if (!line.mode.empty()) {
    const auto parsed = std::from_chars(line.mode.data(), line.mode.data() + line.mode.size(), options.mode, 8);
    if (parsed.ec != std::errc() || parsed.ptr != line.mode.data() + line.mode.size() || options.mode > 07777) {
      return fmt::format("--mode: \"{}\" is not octal permissions", line.mode);
    }
  }
  if (!line.owner.empty()) {
    const std::size_t colon = line.owner.find(':');
    const auto uid = cli::parse_count(line.owner.substr(0, colon));
    const auto gid = cli::parse_count(colon == std::string::npos ? "" : line.owner.substr(colon + 1));
    if (!uid || !gid || *uid > 0xfffffffe || *gid > 0xfffffffe) {
      return fmt::format("--owner: \"{}\" is not UID:GID", line.owner);
    }
    options.uid = static_cast<std::uint32_t>(*uid);
    options.gid = static_cast<std::uint32_t>(*gid);
  }
  const auto size = [](const std::string& text, std::uint64_t& value, const char* what) -> std::optional<std::string> {
    const auto parsed = cli::parse_size(text);
    if (!parsed) return fmt::format("{}: {}", what, parsed.error());
    value = *parsed;
    return std::nullopt;
  };
  if (options.verb == Verb::kTruncate) return size(line.length, options.length_bytes, "SIZE");
  if (options.verb != Verb::kFallocate) return std::nullopt;
  if (options.punch + options.zero + options.collapse + options.insert > 1) {
    return "--punch, --zero, --collapse and --insert exclude one another";
  }
  if (auto wrong = size(line.offset, options.offset_bytes, "OFFSET")) return wrong;
  return size(line.length, options.length_bytes, "LENGTH");
}

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
  if (changes(row.verb)) {
    declare_change(verb, row, line);
    verb->add_option("--io", line.io, "how to read and write: auto, dax or uring")->type_name("HOW");
    return;
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
  CLI::App app("Looks into an XFS filesystem (version 5), and changes it, without mounting it.", "xdax");
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
  if (changes(options.verb)) {
    if (auto wrong = finish_change(line)) return usage_error(std::move(*wrong));
  }
  return {.options = std::move(options), .exit_status = std::nullopt, .message = {}};
}

}  // namespace xdax::io
