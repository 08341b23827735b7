// Finds out which entries and parent pointers do not belong together where the sums of a group differ.
#pragma once

#include "fsck/file_check.h"
#include "fsck/group.h"

namespace xdax::fsck {

/// Compares parent pointers with entries, group by group of the inodes named. Only for a filesystem that has them. What
/// could not be read as a whole is left out, and `skipped` says so.
void compare_parents(FileCheck& check, FindingList& findings, SkippedChecks& skipped);

}  // namespace xdax::fsck
