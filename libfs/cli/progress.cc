#include "libfs/cli/progress.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <utility>

#include "libfs/cli/message.h"
#include "libfs/cli/terminal.h"

namespace xdax::cli {
namespace {

constexpr std::chrono::milliseconds kInterval(100);
constexpr unsigned kBarWidth = 40;

// A signal handler can reach nothing but a global. Even: the last signal said off, odd: on; the rest counts signals, so
// that a reporter sees that one came.
std::atomic<unsigned> signal_state = 0;
static_assert(std::atomic<unsigned>::is_always_lock_free);

void on_signal(int signal) {
  const unsigned state = signal_state.load();
  signal_state.store(((state | 1u) + 1u) | (signal == SIGUSR1 ? 1u : 0u));
}

}  // namespace

ProgressOptions choose_progress(std::optional<int> requested_fd, bool quiet, std::string device) {
  ProgressOptions options{.device = std::move(device)};
  if (!requested_fd) {
    if (!quiet && is_terminal(STDERR_FILENO) && is_terminal(STDOUT_FILENO)) {
      options.style = ProgressStyle::kBar;
      options.visible = true;
    }
  } else if (*requested_fd == 0) {
    options.fd = STDOUT_FILENO;
    options.style = is_terminal(STDOUT_FILENO) ? ProgressStyle::kBar : ProgressStyle::kLines;
    options.visible = true;
  } else {
    options.fd = *requested_fd > 0 ? *requested_fd : -*requested_fd;
    options.visible = *requested_fd > 0;
  }
  return options;
}

void install_progress_signals() {
  struct sigaction action = {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaddset(&action.sa_mask, SIGUSR1);
  sigaddset(&action.sa_mask, SIGUSR2);
  ::sigaction(SIGUSR1, &action, nullptr);
  ::sigaction(SIGUSR2, &action, nullptr);
}

ProgressReporter::ProgressReporter(ProgressOptions options)
    : options_(std::move(options)), visible_(options_.visible), signals_obeyed_(signal_state.load()) {}

ProgressReporter::~ProgressReporter() {
  const MutexLock lock(mutex_);
  wipe();
}

void ProgressReporter::start_pass(unsigned number, std::uint64_t maximum, std::string_view title) {
  const MutexLock lock(mutex_);
  pass_ = number;
  maximum_ = maximum;
  title_ = one_line(title);
  current_ = 0;
  next_draw_ = (Clock::now() + kInterval).time_since_epoch().count();
  obey_signals();
  draw();
}

void ProgressReporter::advance(std::uint64_t steps) {
  current_.fetch_add(steps, std::memory_order_relaxed);
  const Clock::time_point now = Clock::now();
  Clock::rep due = next_draw_.load(std::memory_order_relaxed);
  if (now.time_since_epoch().count() < due) return;
  // Only one of the threads that see it due gets past this.
  if (!next_draw_.compare_exchange_strong(due, (now + kInterval).time_since_epoch().count())) return;
  const MutexLock lock(mutex_);
  obey_signals();
  draw();
}

void ProgressReporter::finish_pass() {
  const MutexLock lock(mutex_);
  current_ = maximum_;
  obey_signals();
  draw();
  wipe();
}

void ProgressReporter::obey_signals() {
  const unsigned state = signal_state.load();
  if (state == signals_obeyed_) return;
  signals_obeyed_ = state;
  visible_ = (state & 1u) != 0;
  if (!visible_) wipe();
}

void ProgressReporter::draw() {
  if (!visible_ || broken_) return;
  const std::uint64_t current = std::min(current_.load(std::memory_order_relaxed), maximum_);
  if (options_.style == ProgressStyle::kLines) {
    put(std::to_string(pass_) + " " + std::to_string(current) + " " + std::to_string(maximum_) + " " +
        one_line(options_.device) + "\n");
    return;
  }
  const double share = maximum_ == 0 ? 1.0 : static_cast<double>(current) / static_cast<double>(maximum_);
  const auto filled = static_cast<unsigned>(share * kBarWidth);
  const auto percent = std::to_string(static_cast<unsigned>(share * 100));
  put("\r" + title_ + " [" + std::string(filled, '=') + std::string(kBarWidth - filled, ' ') + "] " +
      std::string(3 - percent.size(), ' ') + percent + "%\033[K");
  bar_on_screen_ = true;
}

void ProgressReporter::wipe() {
  if (!bar_on_screen_) return;
  put("\r\033[K");
  bar_on_screen_ = false;
}

void ProgressReporter::put(std::string_view text) {
  while (!text.empty() && !broken_) {
    const ssize_t count = ::write(options_.fd, text.data(), text.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) {
      broken_ = true;
      return;
    }
    text.remove_prefix(static_cast<std::size_t>(count));
  }
}

}  // namespace xdax::cli
