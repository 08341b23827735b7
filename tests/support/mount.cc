#include "tests/support/mount.h"

#include <fcntl.h>
#include <linux/ioctl.h>
#include <linux/types.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <iostream>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <vector>

#include "tests/support/process.h"

namespace xdax::test {
namespace {

constexpr int kAttempts = 20;

// The kernel's "go down" request of XFS (ioctl X, 125) and two of its flags.
constexpr unsigned long kGoingDown = _IOR('X', 125, __u32);
constexpr __u32 kFlushLog = 1;
constexpr __u32 kNoLogFlush = 2;

}  // namespace

Mount::Mount(const std::string& device, const std::string& options) {
  std::vector<std::string> argv = {"mount", "-t", "xfs"};
  if (!options.empty()) argv.insert(argv.end(), {"-o", options});
  argv.insert(argv.end(), {device, folder_.path().string()});
  const ProcessResult result = run(argv);
  if (!result.ok()) throw std::runtime_error("the kernel did not mount " + device + "\n" + result.describe());
  mounted_ = true;
}

void Mount::unmount() {
  if (!mounted_) return;
  ProcessResult result;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    result = run({"umount", folder_.path().string()});
    if (result.ok()) {
      mounted_ = false;
      return;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(25 * (attempt + 1)));
  }
  throw std::runtime_error("cannot unmount " + folder_.path().string() + "\n" + result.describe());
}

void Mount::shut_down(bool flush_log) {
  const int fd = ::open(folder_.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) throw std::system_error(errno, std::generic_category(), "open " + folder_.path().string());
  __u32 flags = flush_log ? kFlushLog : kNoLogFlush;
  const int status = ::ioctl(fd, kGoingDown, &flags);
  const int error = errno;
  ::close(fd);
  if (status != 0) throw std::system_error(error, std::generic_category(), "shut down " + folder_.path().string());
  unmount();
}

Mount::~Mount() {
  try {
    unmount();
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    // Something in the test still holds a file open. A lazy unmount lets go of the folder, which must not be emptied
    // while the filesystem is on it.
    try {
      (void)run({"umount", "-l", folder_.path().string()});
    } catch (const std::exception& second) {
      std::cerr << second.what() << "\n";
    }
  }
}

}  // namespace xdax::test
