// Progress of a long run, by the rules every program of xdax follows:
//
//   on a terminal   a bar, redrawn in place and wiped at the end
//   piped           nothing
//   -C FD           lines "pass current maximum device" to descriptor FD, for programs that read them
//   -C, -C 0        a bar on standard output when that is a terminal, lines there when it is not
//   -C -FD          as -C FD, but silent until SIGUSR1
//   SIGUSR1         switches the display on (where it was nothing: lines to standard error)
//   SIGUSR2         switches it off
//
// Work is counted by any number of threads with one atomic addition; whoever counts when a display is due and finds
// nobody else at it draws. A display that cannot be written is given up, never an error.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "libfs/base/mutex.h"

namespace xdax::cli {

enum class ProgressStyle : std::uint8_t { kBar, kLines };

struct ProgressOptions {
  ProgressStyle style = ProgressStyle::kLines;
  /// Where it goes.
  int fd = 2;
  /// Whether it is shown before any signal.
  bool visible = false;
  /// The last field of a line.
  std::string device = {};
};

/// Chooses by the rules above. `requested_fd` is the argument of -C: nothing when the option is not given, 0 when it is
/// given without a number. `quiet` is for output that must stay alone (JSON on a terminal): no bar unless asked for.
[[nodiscard]] ProgressOptions choose_progress(std::optional<int> requested_fd, bool quiet, std::string device);

/// Makes SIGUSR1 and SIGUSR2 switch every reporter of the process. Without it the signals keep their default, which
/// ends the process. Call once from main.
void install_progress_signals();

class ProgressReporter {
 public:
  explicit ProgressReporter(ProgressOptions options);
  /// Wipes a bar that is still there.
  ~ProgressReporter();
  ProgressReporter(const ProgressReporter&) = delete;
  ProgressReporter& operator=(const ProgressReporter&) = delete;

  /// Begins pass `number` of `maximum` steps; `title` is what a bar says ("inodes"). Not while others count.
  void start_pass(unsigned number, std::uint64_t maximum, std::string_view title) XDAX_EXCLUDES(mutex_);
  /// Counts steps done. Thread-safe; cheap enough for every metadata block. Past the maximum it stays at the maximum.
  void advance(std::uint64_t steps = 1) XDAX_EXCLUDES(mutex_);
  /// Shows the pass as finished. Not while others count.
  void finish_pass() XDAX_EXCLUDES(mutex_);

  [[nodiscard]] std::uint64_t current() const { return current_.load(std::memory_order_relaxed); }

 private:
  using Clock = std::chrono::steady_clock;

  void obey_signals() XDAX_REQUIRES(mutex_);
  void draw() XDAX_REQUIRES(mutex_);
  void wipe() XDAX_REQUIRES(mutex_);
  void put(std::string_view text) XDAX_REQUIRES(mutex_);

  const ProgressOptions options_;
  std::atomic<std::uint64_t> current_ = 0;
  std::atomic<Clock::rep> next_draw_ = 0;

  Mutex mutex_;
  unsigned pass_ XDAX_GUARDED_BY(mutex_) = 0;
  std::uint64_t maximum_ XDAX_GUARDED_BY(mutex_) = 0;
  std::string title_ XDAX_GUARDED_BY(mutex_);
  bool visible_ XDAX_GUARDED_BY(mutex_);
  bool broken_ XDAX_GUARDED_BY(mutex_) = false;
  bool bar_on_screen_ XDAX_GUARDED_BY(mutex_) = false;
  unsigned signals_obeyed_ XDAX_GUARDED_BY(mutex_) = 0;
};

}  // namespace xdax::cli
