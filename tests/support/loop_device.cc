#include "tests/support/loop_device.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <fstream>
#include <iostream>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "tests/support/process.h"

namespace xdax::test {
namespace {

constexpr int kAttempts = 20;

void pause_before_attempt(int attempt) { std::this_thread::sleep_for(std::chrono::milliseconds(20 * (attempt + 1))); }

/// The file behind a loop device, as the kernel names it; empty when there is none.
std::string backing_file(const std::string& path) {
  std::ifstream file("/sys/block/" + path.substr(path.rfind('/') + 1) + "/loop/backing_file");
  std::string name;
  std::getline(file, name);
  return name;
}

std::string trimmed(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  return text;
}

}  // namespace

LoopDevice::LoopDevice(const std::filesystem::path& file, const LoopOptions& options) {
  std::vector<std::string> argv = {"losetup", "-f", "--show"};
  if (options.sector_bytes != 512) argv.insert(argv.end(), {"-b", std::to_string(options.sector_bytes)});
  if (options.read_only) argv.push_back("-r");
  argv.push_back(file.string());
  // Between finding a free device and taking it another process may be quicker.
  ProcessResult result;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    result = run(argv);
    if (result.ok()) {
      path_ = trimmed(result.out);
      let_go_with_process();
      return;
    }
    pause_before_attempt(attempt);
  }
  throw std::runtime_error("no loop device for " + file.string() + "\n" + result.describe());
}

// Detaching a device that is open makes the kernel detach it at its last close.
void LoopDevice::let_go_with_process() {
  fd_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
  const int error = errno;
  const ProcessResult result = run({"losetup", "-d", path_});
  if (fd_ < 0) throw std::system_error(error, std::generic_category(), "open " + path_);
  if (!result.ok()) throw std::runtime_error("cannot prepare " + path_ + " to be detached\n" + result.describe());
}

void LoopDevice::detach() {
  if (path_.empty()) return;
  const std::string file = backing_file(path_);
  ::close(std::exchange(fd_, -1));
  // What else has it open for a moment (udev, blkid) may close it last. Another process may take the number at once.
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    if (backing_file(path_) != file) {
      path_.clear();
      return;
    }
    pause_before_attempt(attempt);
  }
  throw std::runtime_error("something holds " + std::exchange(path_, {}) + ", so it stays attached to " + file);
}

LoopDevice::~LoopDevice() {
  try {
    detach();
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
  }
}

}  // namespace xdax::test
