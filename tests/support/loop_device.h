// A loop device over a file, detached with the object.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace xdax::test {

struct LoopOptions {
  /// Logical sector size: 512, 1024, 2048 or 4096.
  std::uint32_t sector_bytes = 512;
  bool read_only = false;
};

/// The device is attached as long as the object or anything else (a mount) has it open: when the process is killed, as
/// ctest does at a timeout, the kernel detaches it. The kernel chooses a free device (`losetup -f`), so tests may run
/// side by side. Needs root; a test asks first with XDAX_NEED_ROOT_AND_LOOP() (oracle.h). Throws std::runtime_error
/// when no device can be had.
class LoopDevice {
 public:
  explicit LoopDevice(const std::filesystem::path& file, const LoopOptions& options = {});
  ~LoopDevice();
  LoopDevice(const LoopDevice&) = delete;
  LoopDevice& operator=(const LoopDevice&) = delete;

  /// "/dev/loopN"
  [[nodiscard]] const std::string& path() const { return path_; }

  /// Detaches now; the file then holds everything that was written. Throws std::runtime_error; nothing when detached.
  void detach();

 private:
  void let_go_with_process();

  std::string path_;
  int fd_ = -1;
};

}  // namespace xdax::test
