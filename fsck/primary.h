// The primary superblock: whether there is a filesystem here, whether this build may judge it, and by which copy.
#pragma once

#include <cstdint>

#include "fsck/finding.h"
#include "libfs/device/device.h"
#include "libfs/format/superblock.h"

namespace xdax::fsck {

struct Primary {
  /// What the check goes by: the primary, or a copy where the primary cannot be used.
  Superblock superblock;
  /// The primary itself is used, so that its counters can be checked.
  bool original = true;
};

struct PrimaryOptions {
  /// Whether to look for a copy even where nothing at the start says XFS: a long search.
  bool search = true;
};

/// Reads and checks the primary superblock. Throws RefusalError (kNotXfs, kNotSupported) and IoError as
/// check_filesystem() does.
[[nodiscard]] Primary check_primary(Device& device, const PrimaryOptions& options, FindingSink& findings);

}  // namespace xdax::fsck
