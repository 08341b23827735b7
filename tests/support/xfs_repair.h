// The verdict of `xfs_repair -n`.
#pragma once

#include <filesystem>
#include <string>

namespace xdax::test {

struct RepairVerdict {
  /// It ran to its end and found nothing.
  bool clean = false;
  /// 0 clean, 1 damaged, 2 the log is dirty; -1 when it crashed or was killed.
  int exit_status = -1;
  /// Everything it said, for assertion messages.
  std::string output;
};

/// Runs `xfs_repair -n` on an image or device, which must not be mounted. Changes nothing. A filesystem of one group
/// has no second superblock to compare with, which xfs_repair accepts only when told so; it is told so then.
[[nodiscard]] RepairVerdict xfs_repair_check(const std::filesystem::path& image);

}  // namespace xdax::test
