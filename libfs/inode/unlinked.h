// Inodes without a name that are still in use, or on their way to being free: the lists in the group headers.
//
// Not thread-safe: it works inside one transaction. Source: XFS Algorithms & Data Structures, "Unlinked Inodes".
#pragma once

#include <optional>

#include "libfs/journal/transaction.h"
#include "libfs/space/group.h"

namespace xdax {

/// Puts an inode without links on its list, and takes it off again. Throw CorruptionError when it is not there.
void add_unlinked(Transaction& transaction, InodeNumber ino);
void remove_unlinked(Transaction& transaction, InodeNumber ino);
/// The first inode of any list of a group.
[[nodiscard]] std::optional<InodeNumber> first_unlinked(Transaction& transaction, AgNumber ag);

}  // namespace xdax
