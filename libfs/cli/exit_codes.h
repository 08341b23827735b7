// Exit statuses. A checker's are those of fsck(8), whose sum tells what happened; every other program's are 0 and 1.
#pragma once

namespace xdax::cli {

/// Bits of a checker's exit status, as fsck(8) and its callers (systemd, initramfs, fstab) read them.
enum FsckExit : int {
  kFsckClean = 0,        ///< nothing wrong
  kFsckCorrected = 1,    ///< damage was found and repaired
  kFsckReboot = 2,       ///< the system should be rebooted
  kFsckUncorrected = 4,  ///< damage was found and is still there
  kFsckOperational = 8,  ///< the check could not be done: I/O error, in use, not XFS, not supported
  kFsckUsage = 16,       ///< the command line is wrong
  kFsckCancelled = 32,   ///< stopped by the user
  kFsckLibrary = 128,    ///< a shared library failed
};

inline constexpr int kExitSuccess = 0;
inline constexpr int kExitFailure = 1;  ///< of mkfs(8): refused, failed, or used wrongly; of xdax(1): refused or failed
inline constexpr int kExitUsage = 2;    ///< of xdax(1): the command line is wrong

}  // namespace xdax::cli
