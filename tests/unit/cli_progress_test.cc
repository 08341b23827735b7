// Progress over pipes and over a pseudo-terminal, as a user or a wrapper sees it.

#include "libfs/cli/progress.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <sstream>
#include <thread>
#include <vector>

#include "libfs/cli/terminal.h"

namespace xdax::cli {
namespace {

/// What a reporter writes: a pipe, or the controlling side of a pseudo-terminal.
class Screen {
 public:
  explicit Screen(bool terminal) {
    if (terminal) {
      reader_ = ::posix_openpt(O_RDWR | O_NOCTTY);
      EXPECT_EQ(::grantpt(reader_), 0);
      EXPECT_EQ(::unlockpt(reader_), 0);
      std::array<char, 128> name{};
      EXPECT_EQ(::ptsname_r(reader_, name.data(), name.size()), 0);
      writer_ = ::open(name.data(), O_RDWR | O_NOCTTY);
    } else {
      std::array<int, 2> ends{};
      EXPECT_EQ(::pipe(ends.data()), 0);
      reader_ = ends[0];
      writer_ = ends[1];
    }
  }
  ~Screen() {
    ::close(reader_);
    ::close(writer_);
  }
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;

  [[nodiscard]] int fd() const { return writer_; }

  /// Everything written since the last call.
  [[nodiscard]] std::string text() const {
    std::string result;
    pollfd waiting{reader_, POLLIN, 0};
    while (::poll(&waiting, 1, 20) > 0 && (waiting.revents & POLLIN) != 0) {
      std::array<char, 4096> buffer{};
      const ssize_t count = ::read(reader_, buffer.data(), buffer.size());
      if (count <= 0) break;
      result.append(buffer.data(), static_cast<std::size_t>(count));
    }
    return result;
  }

 private:
  int reader_ = -1;
  int writer_ = -1;
};

ProgressOptions lines_to(int fd) {
  return {.style = ProgressStyle::kLines, .fd = fd, .visible = true, .device = "/dev/x"};
}

void wait_until_due() { std::this_thread::sleep_for(std::chrono::milliseconds(120)); }

TEST(Progress, LinesSayPassCurrentMaximumDevice) {
  const Screen screen(false);
  ProgressReporter reporter(lines_to(screen.fd()));
  reporter.start_pass(1, 200, "groups");
  EXPECT_EQ(screen.text(), "1 0 200 /dev/x\n");
  wait_until_due();
  reporter.advance(50);
  EXPECT_EQ(screen.text(), "1 50 200 /dev/x\n");
  reporter.advance(50);
  EXPECT_EQ(screen.text(), "") << "the next line is not due yet";
  reporter.finish_pass();
  EXPECT_EQ(screen.text(), "1 200 200 /dev/x\n");
  reporter.start_pass(2, 10, "inodes");
  EXPECT_EQ(screen.text(), "2 0 10 /dev/x\n");
}

TEST(Progress, NeverPassesItsMaximum) {
  const Screen screen(false);
  ProgressReporter reporter(lines_to(screen.fd()));
  reporter.start_pass(1, 3, "groups");
  wait_until_due();
  reporter.advance(1000);
  EXPECT_EQ(screen.text(), "1 0 3 /dev/x\n1 3 3 /dev/x\n");
}

TEST(Progress, ABarIsRedrawnInPlaceAndWiped) {
  const Screen screen(true);
  EXPECT_TRUE(is_terminal(screen.fd()));
  ProgressReporter reporter({.style = ProgressStyle::kBar, .fd = screen.fd(), .visible = true, .device = "/dev/x"});
  reporter.start_pass(1, 4, "groups");
  EXPECT_NE(screen.text().find("\rgroups [ "), std::string::npos);
  wait_until_due();
  reporter.advance(2);
  const std::string half = screen.text();
  EXPECT_NE(half.find("====="), std::string::npos);
  EXPECT_NE(half.find(" 50%"), std::string::npos);
  EXPECT_EQ(half.find('\n'), std::string::npos);
  reporter.finish_pass();
  EXPECT_TRUE(screen.text().ends_with("\r\033[K"));
}

TEST(Progress, ABarIsWipedWhenARunIsAbandoned) {
  const Screen screen(true);
  {
    ProgressReporter reporter({.style = ProgressStyle::kBar, .fd = screen.fd(), .visible = true});
    reporter.start_pass(1, 4, "groups");
  }
  EXPECT_TRUE(screen.text().ends_with("\r\033[K"));
}

TEST(Progress, AnEmptyPassIsDoneAtOnce) {
  const Screen screen(true);
  ProgressReporter reporter({.style = ProgressStyle::kBar, .fd = screen.fd(), .visible = true});
  reporter.start_pass(1, 0, "groups");
  EXPECT_NE(screen.text().find("100%"), std::string::npos);
  reporter.finish_pass();
}

TEST(Progress, IsSilentUnlessVisible) {
  const Screen screen(false);
  ProgressReporter reporter({.style = ProgressStyle::kLines, .fd = screen.fd()});
  reporter.start_pass(1, 4, "groups");
  wait_until_due();
  reporter.advance(4);
  reporter.finish_pass();
  EXPECT_EQ(screen.text(), "");
}

TEST(Progress, SignalsSwitchItOnAndOff) {
  install_progress_signals();
  const Screen screen(false);
  ProgressReporter reporter({.style = ProgressStyle::kLines, .fd = screen.fd(), .visible = false, .device = "d"});
  reporter.start_pass(1, 9, "groups");
  EXPECT_EQ(screen.text(), "");
  ASSERT_EQ(std::raise(SIGUSR1), 0);
  wait_until_due();
  reporter.advance();
  EXPECT_EQ(screen.text(), "1 1 9 d\n");
  ASSERT_EQ(std::raise(SIGUSR2), 0);
  wait_until_due();
  reporter.advance();
  EXPECT_EQ(screen.text(), "");
  ASSERT_EQ(std::raise(SIGUSR2), 0);
  ASSERT_EQ(std::raise(SIGUSR1), 0);
  ASSERT_EQ(std::raise(SIGUSR1), 0);
  wait_until_due();
  reporter.advance();
  EXPECT_EQ(screen.text(), "1 3 9 d\n");
}

TEST(Progress, AClosedDescriptorIsNoError) {
  ProgressReporter reporter(lines_to(-1));
  reporter.start_pass(1, 2, "groups");
  reporter.advance(2);
  reporter.finish_pass();
}

TEST(Progress, ThreadsCountTogether) {
  const Screen screen(false);
  ProgressReporter reporter(lines_to(screen.fd()));
  constexpr std::uint64_t kSteps = 50000;
  reporter.start_pass(1, 4 * kSteps, "blocks");
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] {
        for (std::uint64_t step = 0; step < kSteps; ++step) reporter.advance();
      });
    }
  }
  EXPECT_EQ(reporter.current(), 4 * kSteps);
  reporter.finish_pass();
  std::istringstream lines(screen.text());
  std::uint64_t last = 0;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::uint64_t pass = 0;
    std::uint64_t current = 0;
    std::uint64_t maximum = 0;
    std::string device;
    ASSERT_TRUE(words >> pass >> current >> maximum >> device) << line;
    EXPECT_GE(current, last);
    EXPECT_EQ(maximum, 4 * kSteps);
    last = current;
  }
  EXPECT_EQ(last, 4 * kSteps);
}

/// choose_progress() looks at the process's own descriptors: put a screen there for a while.
class Redirected {
 public:
  Redirected(int fd, int target) : fd_(fd), saved_(::dup(fd)) { ::dup2(target, fd); }
  ~Redirected() {
    ::dup2(saved_, fd_);
    ::close(saved_);
  }
  Redirected(const Redirected&) = delete;
  Redirected& operator=(const Redirected&) = delete;

 private:
  int fd_;
  int saved_;
};

struct Choice {
  bool out_terminal;
  bool err_terminal;
  std::optional<int> requested_fd;
  bool quiet;
  bool visible;
  ProgressStyle style;
  int fd;
};

TEST(Progress, IsChosenByTheFieldsRules) {
  const auto bar = ProgressStyle::kBar;
  const auto lines = ProgressStyle::kLines;
  const Choice choices[] = {
      {true, true, {}, false, true, bar, 2},       // on a terminal: a bar
      {true, true, {}, true, false, lines, 2},     // quiet
      {false, true, {}, false, false, lines, 2},   // piped: nothing
      {true, false, {}, false, false, lines, 2},   // errors kept in a file: nothing
      {false, false, {}, false, false, lines, 2},  // neither
      {true, true, 0, false, true, bar, 1},        // -C on a terminal
      {false, false, 0, false, true, lines, 1},    // -C, piped
      {true, true, 5, false, true, lines, 5},      // -C5
      {true, true, -5, false, false, lines, 5},    // -C-5: after SIGUSR1
  };
  const Screen terminal(true);
  const Screen pipe(false);
  for (std::size_t i = 0; i < std::size(choices); ++i) {
    const Choice& choice = choices[i];
    ProgressOptions options;
    {
      const Redirected out(STDOUT_FILENO, choice.out_terminal ? terminal.fd() : pipe.fd());
      const Redirected err(STDERR_FILENO, choice.err_terminal ? terminal.fd() : pipe.fd());
      options = choose_progress(choice.requested_fd, choice.quiet, "/dev/x");
    }
    EXPECT_EQ(options.visible, choice.visible) << i;
    EXPECT_EQ(options.style, choice.style) << i;
    EXPECT_EQ(options.fd, choice.fd) << i;
    EXPECT_EQ(options.device, "/dev/x") << i;
  }
}

TEST(Terminal, ColourNeedsATerminalThatCanAndAUserWhoWants) {
  const Screen terminal(true);
  const Screen pipe(false);
  ::unsetenv("NO_COLOR");
  ::setenv("TERM", "xterm", 1);
  EXPECT_TRUE(use_colour(terminal.fd()));
  EXPECT_FALSE(use_colour(pipe.fd()));
  ::setenv("NO_COLOR", "1", 1);
  EXPECT_FALSE(use_colour(terminal.fd()));
  ::setenv("NO_COLOR", "", 1);
  EXPECT_TRUE(use_colour(terminal.fd())) << "an empty NO_COLOR does not count (no-color.org)";
  ::setenv("TERM", "dumb", 1);
  EXPECT_FALSE(use_colour(terminal.fd()));
  ::unsetenv("TERM");
  EXPECT_FALSE(use_colour(terminal.fd()));
}

}  // namespace
}  // namespace xdax::cli
