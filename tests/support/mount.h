// A kernel XFS mount, unmounted with the object.
#pragma once

#include <filesystem>
#include <string>

#include "tests/support/temp_dir.h"

namespace xdax::test {

/// Mounts `device` (a block device, usually a LoopDevice) with the kernel's XFS on a new folder. `options` are mount's
/// ("ro,nouuid"); images of one UUID mount side by side only with nouuid. Declare it after the LoopDevice it uses, so
/// that it is unmounted first. Throws std::runtime_error with mount's words when the kernel refuses.
class Mount {
 public:
  explicit Mount(const std::string& device, const std::string& options = {});
  ~Mount();
  Mount(const Mount&) = delete;
  Mount& operator=(const Mount&) = delete;

  [[nodiscard]] const std::filesystem::path& path() const { return folder_.path(); }
  [[nodiscard]] std::filesystem::path path(std::string_view name) const { return folder_.path(name); }

  /// Unmounts now (which writes everything). Throws std::runtime_error; nothing when already unmounted.
  void unmount();

  /// Shuts the filesystem down at once and unmounts it. With `flush_log` what has been committed is in the log and a
  /// later mount recovers it; without, what was not yet in the log is lost, as in a power cut. Leaves a dirty log.
  void shut_down(bool flush_log);

 private:
  TempDir folder_;
  bool mounted_ = false;
};

}  // namespace xdax::test
