// After all names are known: link counts, unlinked lists, inodes without a name, parents, and whether the tree hangs
// together.
#pragma once

#include "fsck/file_check.h"
#include "fsck/group.h"

namespace xdax::fsck {

/// Follows the lists of unlinked inodes and marks what they have.
void check_unlinked_lists(FileCheck& check, FindingList& findings);

/// Whether the inodes that the superblock names are what they must be; takes the link each of them has.
void check_special_inodes(FileCheck& check, FindingList& findings);

/// Compares counts. Where directories could not be read as a whole, an inode with too few entries is not reported, and
/// `skipped` says so.
void check_links(FileCheck& check, FindingList& findings, SkippedChecks& skipped);

/// Compares what directories say of their parents with the entries that name them, and looks for directories that hang
/// in the air.
void check_tree(FileCheck& check, FindingList& findings);

}  // namespace xdax::fsck
