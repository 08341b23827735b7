#include "fsck/command.h"

#include <fmt/format.h>
#include <signal.h>

#include <atomic>
#include <cstdio>
#include <memory>
#include <new>
#include <thread>

#include "fsck/check.h"
#include "libfs/base/error.h"
#include "libfs/cli/exit_codes.h"
#include "libfs/cli/message.h"
#include "libfs/cli/progress.h"

namespace xdax::fsck {
namespace {

constexpr const char* kProgram = "fsck.xdax";

// The one thing a signal handler may touch.
std::atomic<bool> g_cancelled = false;

extern "C" void on_cancel(int) { g_cancelled.store(true, std::memory_order_relaxed); }

void install_cancel_handlers() {
  struct sigaction action{};
  action.sa_handler = on_cancel;
  // The second signal ends the program at once.
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

class Progress final : public CheckObserver {
 public:
  Progress(const Options& options, const std::string& device)
      : reporter_(cli::choose_progress(options.progress_fd, options.json, device)) {}

  void start_pass(unsigned number, std::uint64_t maximum, const char* title) override {
    reporter_.start_pass(number, maximum, title);
  }
  void advance(std::uint64_t steps) override {
    if (g_cancelled.load(std::memory_order_relaxed)) throw RefusalError(Errc::kCancelled, "cancelled");
    reporter_.advance(steps);
  }
  void finish_pass() override { reporter_.finish_pass(); }

 private:
  cli::ProgressReporter reporter_;
};

std::unique_ptr<Device> open_to_look(const std::string& path, const Options& options, Outcome& outcome) {
  try {
    return open_device(path, {.mode = OpenMode::kRead, .io = options.io, .exclusive = true});
  } catch (const RefusalError& refusal) {
    if (refusal.cause() != Errc::kInUse || !options.read_only) throw;
    outcome.warnings.push_back(
        fmt::format("{}; it may change while it is looked at, and findings may mean nothing", refusal.what()));
  }
  return open_device(path, {.mode = OpenMode::kRead, .io = options.io, .exclusive = false});
}

// A dirty log alone is no damage at boot: the mount that follows replays it.
bool left_to_mount(const CheckResult& result, bool quick) {
  if (!quick || !result.waits_for_replay || result.log->foreign_byte_order) return false;
  return result.findings.problems() == result.findings.count(Problem::kLogDirty);
}

// What is mapped is there; anything else is waited for, and more threads wait at once than can run.
unsigned suitable_threads(const Device& device) {
  constexpr unsigned kWaiting = 8;
  const unsigned processors = std::max(1u, std::thread::hardware_concurrency());
  return device.traits().kind == DeviceKind::kUring ? std::max(processors, kWaiting) : processors;
}

bool print(const std::string& text) {
  return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
}

}  // namespace

int exit_status_of(const CheckResult& result, bool quick) {
  if (left_to_mount(result, quick)) return cli::kFsckClean;
  if (result.findings.has_problems()) return cli::kFsckUncorrected;
  return result.complete() ? cli::kFsckClean : cli::kFsckOperational;
}

Outcome check_device(const std::string& path, const Options& options) {
  Outcome outcome{
      .device = cli::one_line(path), .quick = options.quick(), .repair_wanted = options.yes || options.preen};
  try {
    const std::unique_ptr<Device> device = open_to_look(path, options, outcome);
    Progress progress(options, outcome.device);
    const unsigned threads = options.threads != 0 ? options.threads : suitable_threads(*device);
    outcome.result = check_filesystem(*device, {.quick = options.quick(),
                                                .threads = threads,
                                                .observer = &progress,
                                                .media = options.media,
                                                .memory_bytes = options.memory_bytes});
    outcome.exit_status = exit_status_of(*outcome.result, options.quick());
    if (outcome.exit_status == cli::kFsckOperational) {
      outcome.error = fmt::format(
          "{}: not everything could be compared, though nothing wrong was found; if it is in use, "
          "check again when it is not",
          outcome.device);
    }
  } catch (const Error& error) {
    outcome.error = error.what();
    outcome.exit_status = error.cause() == Errc::kCancelled ? cli::kFsckCancelled : cli::kFsckOperational;
    if (error.cause() == Errc::kCancelled)
      outcome.error = fmt::format("{}: cancelled; not all was checked", outcome.device);
  } catch (const std::bad_alloc&) {
    outcome.error = fmt::format("{}: not enough memory for the check", outcome.device);
    outcome.exit_status = cli::kFsckOperational;
  } catch (const std::system_error& error) {
    outcome.error = fmt::format("{}: {}", outcome.device, error.what());
    outcome.exit_status = cli::kFsckOperational;
  }
  return outcome;
}

int run_command(int argc, const char* const* argv) {
  const ParsedOptions parsed = parse_options(argc, argv);
  if (parsed.exit_status) {
    if (*parsed.exit_status == 0) return print(parsed.message) ? 0 : cli::kFsckOperational;
    cli::error_line(kProgram, parsed.message);
    return *parsed.exit_status;
  }
  const Options& options = parsed.options;
  cli::install_progress_signals();
  install_cancel_handlers();
  int status = cli::kFsckClean;
  for (const std::string& path : options.devices) {
    const Outcome outcome = check_device(path, options);
    for (const std::string& warning : outcome.warnings) cli::error_line(kProgram, "warning: " + warning);
    const bool printed = print(options.json ? json_report(outcome) : text_report(outcome, options.verbose));
    if (!outcome.error.empty()) cli::error_line(kProgram, outcome.error);
    status |= outcome.exit_status;
    if (!printed) {
      cli::error_line(kProgram, "the report cannot be written to standard output");
      status |= cli::kFsckOperational;
    }
    if (outcome.exit_status == cli::kFsckCancelled) break;
  }
  return status;
}

}  // namespace xdax::fsck
