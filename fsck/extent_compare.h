// Finds out which extents differ where the sums of a group do.
//
// Extents of files in that group are collected by reading all inodes again, a window of the group's blocks at a time so
// that the lists stay within the memory allowed, and are compared with the reverse map, or, where there is none to be
// believed, with free space, metadata and reference counts.
#pragma once

#include "fsck/file_check.h"
#include "fsck/group.h"

namespace xdax::fsck {

/// Compares the extents of files with what the groups say of them, group by group.
void compare_extents(FileCheck& check, FindingList& findings, SkippedChecks& skipped);

}  // namespace xdax::fsck
