#include "io/command.h"

#include <fmt/format.h>

#include <memory>
#include <new>

#include "io/options.h"
#include "io/output.h"
#include "io/verbs.h"
#include "libfs/base/error.h"
#include "libfs/cli/exit_codes.h"
#include "libfs/cli/message.h"

namespace xdax::io {
namespace {

constexpr const char* kProgram = "xdax";

// What is mounted may change while it is read, so it is read only when that was asked for.
std::unique_ptr<Device> open_to_read(const Options& options) {
  try {
    return open_device(options.image, {.mode = OpenMode::kRead, .io = options.io, .exclusive = true});
  } catch (const RefusalError& refusal) {
    if (refusal.cause() != Errc::kInUse || !options.ignore_log) throw;
    cli::error_line(kProgram, fmt::format("warning: {}; it may change while it is read", refusal.what()));
  }
  return open_device(options.image, {.mode = OpenMode::kRead, .io = options.io, .exclusive = false});
}

void run_verb(const Volume& volume, const Options& options, Output& out) {
  switch (options.verb) {
    case Verb::kLs:
      return list(volume, options, out);
    case Verb::kStat:
      return show_inode(volume, options, out);
    case Verb::kCat:
      return copy_file(volume, options, out);
    case Verb::kTree:
      return tree(volume, options, out);
    case Verb::kExtents:
      return show_extents(volume, options, out);
    case Verb::kXattr:
      return show_attributes(volume, options, out);
    case Verb::kDigest:
      return digest(volume, options, out);
    default:
      return;  // those that change go another way
  }
}

// Whatever happens, what was done before is whole and in its place.
void run_change(const Options& options) {
  const std::unique_ptr<Device> device =
      open_device(options.image, {.mode = OpenMode::kReadWrite, .io = options.io, .exclusive = true});
  const std::unique_ptr<Filesystem> filesystem = Filesystem::open(*device, {});
  try {
    edit(*filesystem, options);
  } catch (const Error&) {
    try {
      filesystem->close();
    } catch (const Error& second) {
      cli::error_line(kProgram, fmt::format("warning: {}; the log is left to be replayed", second.what()));
    }
    throw;
  }
  filesystem->close();
}

// What was printed before an error is worth having.
void run_and_flush(const Options& options, Output& out) {
  try {
    const std::unique_ptr<Device> device = open_to_read(options);
    const Volume volume = Volume::open(*device, {.ignore_log = options.ignore_log});
    run_verb(volume, options, out);
  } catch (const Error& error) {
    if (error.cause() != Errc::kWriteFailed) out.flush();
    throw;
  }
  out.flush();
}

int fail(std::string_view text) {
  cli::error_line(kProgram, text);
  return cli::kExitFailure;
}

}  // namespace

int run_command(int argc, const char* const* argv) {
  try {
    const ParsedOptions parsed = parse_options(argc, argv);
    Output out;
    if (!parsed.exit_status && changes(parsed.options.verb)) {
      run_change(parsed.options);
      return cli::kExitSuccess;
    }
    if (!parsed.exit_status) {
      run_and_flush(parsed.options, out);
      return cli::kExitSuccess;
    }
    if (*parsed.exit_status != cli::kExitSuccess) {
      cli::error_line(kProgram, parsed.message);
      return *parsed.exit_status;
    }
    out.text(parsed.message);
    out.flush();
    return cli::kExitSuccess;
  } catch (const std::bad_alloc&) {
    return fail("not enough memory");
  } catch (const std::exception& error) {
    return fail(error.what());
  }
}

}  // namespace xdax::io
