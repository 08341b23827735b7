// Running programs from tests: an argument vector, never a shell; output captured; a deadline always.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace xdax::test {

struct ProcessOptions {
  /// When it passes, the process and everything in its process group is killed and `timed_out` is set.
  std::chrono::milliseconds timeout = std::chrono::seconds(120);
  /// Empty: the caller's.
  std::filesystem::path working_directory = {};
  /// Added to (or replacing in) the caller's environment. LC_ALL=C is always set, unless given here.
  std::vector<std::pair<std::string, std::string>> environment = {};
  /// What the process reads from its standard input, which ends after it. Empty: /dev/null.
  std::string input = {};
};

struct ProcessResult {
  /// What it exited with, or -1 when it did not exit by itself.
  int exit_status = -1;
  /// The signal that ended it, or 0.
  int signal = 0;
  bool timed_out = false;
  std::string out;
  std::string err;

  /// Exited with 0.
  [[nodiscard]] bool ok() const { return exit_status == 0; }
  /// For assertion messages: the command, how it ended, and both outputs.
  [[nodiscard]] std::string describe() const;

  std::string command;
};

/// Runs `argv` to its end. argv[0] without a slash is looked up with find_program(). Throws std::runtime_error when the
/// program does not exist or cannot be started; everything after that is in the result. Thread-safe.
[[nodiscard]] ProcessResult run(const std::vector<std::string>& argv, const ProcessOptions& options = {});

/// run(), and throws std::runtime_error with describe() unless it exited with 0. For preparations of a test.
ProcessResult run_or_throw(const std::vector<std::string>& argv, const ProcessOptions& options = {});

/// Where `name` is: in PATH, then /usr/sbin and /sbin (a user's PATH often lacks them). Empty when nowhere.
[[nodiscard]] std::filesystem::path find_program(const std::string& name);

/// A program of this build ("mkfs.xdax"), in the folder that the environment's XDAX_BIN_DIR names; ctest sets it.
/// Throws std::runtime_error when it is not there.
[[nodiscard]] std::string program_path(const std::string& name);

/// The root of the source tree.
[[nodiscard]] std::filesystem::path source_dir();

}  // namespace xdax::test
