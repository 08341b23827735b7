// The primary superblock inside a transaction.
#pragma once

#include "libfs/format/superblock.h"
#include "libfs/journal/transaction.h"

namespace xdax {

/// Throw CorruptionError, IoError.
[[nodiscard]] const Superblock& read_superblock(Transaction& transaction);
[[nodiscard]] Superblock& change_superblock(Transaction& transaction);

/// Says that blocks and inodes came or went without being counted, so that the next mount with quota counts them again.
/// False when nothing was to be changed.
bool have_quota_counted(Transaction& transaction);

}  // namespace xdax
