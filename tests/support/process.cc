#include "tests/support/process.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <stdexcept>
#include <system_error>

#include "tests/support/temp_dir.h"

namespace xdax::test {
namespace {

using Clock = std::chrono::steady_clock;

class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() { reset(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    if (this != &other) {
      reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] bool open() const { return fd_ >= 0; }
  void reset() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

 private:
  int fd_ = -1;
};

struct Pipe {
  Descriptor read_end;
  Descriptor write_end;
};

Pipe make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw std::system_error(errno, std::generic_category(), "pipe2");
  return {Descriptor(ends[0]), Descriptor(ends[1])};
}

std::string join(const std::vector<std::string>& argv) {
  std::string text;
  for (const std::string& word : argv) {
    if (!text.empty()) text += ' ';
    text += word;
  }
  return text;
}

std::vector<std::string> environment_for(const ProcessOptions& options) {
  std::vector<std::pair<std::string, std::string>> changes = {{"LC_ALL", "C"}};
  for (const auto& change : options.environment) {
    std::erase_if(changes, [&](const auto& earlier) { return earlier.first == change.first; });
    changes.push_back(change);
  }
  std::vector<std::string> result;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    const std::string name = text.substr(0, text.find('='));
    bool replaced = false;
    for (const auto& change : changes) replaced = replaced || change.first == name;
    if (!replaced) result.push_back(text);
  }
  for (const auto& [name, value] : changes) result.push_back(name + "=" + value);
  return result;
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> result;
  for (std::string& text : strings) result.push_back(text.data());
  result.push_back(nullptr);
  return result;
}

/// Starts the process in a group of its own, so that a timeout reaches its children too.
pid_t spawn(const std::filesystem::path& program, std::vector<std::string> argv, const ProcessOptions& options,
            int input_fd, int out_fd, int err_fd) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_adddup2(&actions, input_fd, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out_fd, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, err_fd, STDERR_FILENO);
  if (!options.working_directory.empty()) {
    posix_spawn_file_actions_addchdir_np(&actions, options.working_directory.c_str());
  }
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  posix_spawnattr_setpgroup(&attributes, 0);
  std::vector<std::string> environment = environment_for(options);
  pid_t pid = -1;
  const int error =
      ::posix_spawn(&pid, program.c_str(), &actions, &attributes, pointers(argv).data(), pointers(environment).data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) throw std::runtime_error("cannot start " + program.string() + ": " + std::strerror(error));
  return pid;
}

/// Appends what is there; closes the descriptor at its end.
void drain(Descriptor& fd, std::string& text) {
  std::array<char, 65536> buffer{};
  const ssize_t count = ::read(fd.get(), buffer.data(), buffer.size());
  if (count > 0) {
    text.append(buffer.data(), static_cast<std::size_t>(count));
  } else if (count == 0 || (errno != EINTR && errno != EAGAIN)) {
    fd.reset();
  }
}

/// Collects both outputs until the process has exited and nothing is left in the pipes, or until `deadline`. A child
/// that outlives the process and keeps a pipe open is not waited for. Returns false at the deadline.
bool collect(Descriptor& out, Descriptor& err, int process_fd, Clock::time_point deadline, ProcessResult& result) {
  bool exited = false;
  while (true) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0 && !exited) return false;
    std::array<pollfd, 3> polls = {pollfd{out.get(), POLLIN, 0}, pollfd{err.get(), POLLIN, 0},
                                   pollfd{exited ? -1 : process_fd, POLLIN, 0}};
    const int ready = ::poll(polls.data(), polls.size(), exited ? 0 : static_cast<int>(left));
    if (ready < 0 && errno != EINTR) throw std::system_error(errno, std::generic_category(), "poll");
    if (ready == 0 && exited) return true;
    if (ready <= 0) continue;
    if (polls[0].revents != 0) drain(out, result.out);
    if (polls[1].revents != 0) drain(err, result.err);
    if (polls[2].revents != 0) exited = true;
    if (exited && !out.open() && !err.open()) return true;
  }
}

/// A descriptor from which the process reads `input`: /dev/null, or an unlinked temporary file.
Descriptor input_descriptor(const std::string& input) {
  if (input.empty()) return Descriptor(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  Descriptor fd(::open(default_temp_parent().c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (!fd.open()) throw std::system_error(errno, std::generic_category(), "temporary file for standard input");
  std::size_t done = 0;
  while (done < input.size()) {
    const ssize_t count = ::pwrite(fd.get(), input.data() + done, input.size() - done, static_cast<off_t>(done));
    if (count <= 0) throw std::system_error(errno, std::generic_category(), "temporary file for standard input");
    done += static_cast<std::size_t>(count);
  }
  return fd;
}

}  // namespace

std::string ProcessResult::describe() const {
  std::ostringstream text;
  text << "command: " << command << "\n";
  if (timed_out)
    text << "ended: killed at its deadline\n";
  else if (signal != 0)
    text << "ended: by signal " << signal << " (" << ::strsignal(signal) << ")\n";
  else
    text << "ended: exit status " << exit_status << "\n";
  text << "stdout:\n" << out << "\nstderr:\n" << err << "\n";
  return text.str();
}

ProcessResult run(const std::vector<std::string>& argv, const ProcessOptions& options) {
  if (argv.empty()) throw std::runtime_error("no program to run");
  std::filesystem::path program = argv[0];
  if (argv[0].find('/') == std::string::npos) {
    program = find_program(argv[0]);
    if (program.empty()) throw std::runtime_error(argv[0] + " is not installed");
  }

  ProcessResult result;
  result.command = join(argv);
  Pipe out = make_pipe();
  Pipe err = make_pipe();
  const Descriptor input = input_descriptor(options.input);
  const Clock::time_point deadline = Clock::now() + options.timeout;
  const pid_t pid = spawn(program, argv, options, input.get(), out.write_end.get(), err.write_end.get());
  out.write_end.reset();
  err.write_end.reset();

  const Descriptor process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!process.open() || !collect(out.read_end, err.read_end, process.get(), deadline, result)) {
    result.timed_out = true;
    ::kill(-pid, SIGKILL);
  }
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && !result.timed_out) result.exit_status = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) result.signal = WTERMSIG(status);
  return result;
}

ProcessResult run_or_throw(const std::vector<std::string>& argv, const ProcessOptions& options) {
  ProcessResult result = run(argv, options);
  if (!result.ok()) throw std::runtime_error(result.describe());
  return result;
}

std::filesystem::path find_program(const std::string& name) {
  const char* path = std::getenv("PATH");
  std::istringstream folders(std::string(path != nullptr ? path : "") + ":/usr/sbin:/sbin");
  for (std::string folder; std::getline(folders, folder, ':');) {
    if (folder.empty()) continue;
    const std::filesystem::path candidate = std::filesystem::path(folder) / name;
    if (::access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return {};
}

std::string program_path(const std::string& name) {
  const char* folder = std::getenv("XDAX_BIN_DIR");
  if (folder == nullptr) throw std::runtime_error("XDAX_BIN_DIR is not set; run the test through ctest or set it");
  const std::filesystem::path path = std::filesystem::path(folder) / name;
  if (::access(path.c_str(), X_OK) != 0) throw std::runtime_error(path.string() + " is not there; build it first");
  return path.string();
}

std::filesystem::path source_dir() { return XDAX_SOURCE_DIR; }

}  // namespace xdax::test
