// What becomes of an inode that has no name and no user any more: its blocks and then itself are freed.
//
// A large file takes many transactions. The inode stays on the list of unlinked inodes until the last of them, so that
// a crash in between is taken up where it stopped. Thread-safe as far as transactions are: nobody else may use the
// inode.
#pragma once

#include <functional>

#include "libfs/inode/fork_writer.h"
#include "libfs/journal/journal.h"

namespace xdax {

/// Frees what `fork` maps from `from` on, from the end, at most so many extents that one transaction holds them. False
/// when there is nothing left. Throws CorruptionError, IoError.
[[nodiscard]] bool free_some_blocks(ForkWriter& fork, FileBlock from);

/// Frees an inode that is on the list of unlinked inodes, with all it has. `commit` commits each transaction; whoever
/// keeps readers apart does it there. Throws CorruptionError, IoError.
void inactivate(
    Journal& journal, InodeNumber ino,
    const std::function<void(Transaction&)>& commit = [](Transaction& each) { each.commit(); });

/// Frees every inode on the lists of a group and returns how many that were. Throws CorruptionError for one that has
/// links, before it is touched, and for a list that does not end; IoError.
std::uint64_t free_unlinked(Journal& journal, AgNumber ag);

}  // namespace xdax
