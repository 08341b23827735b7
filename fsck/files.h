// The second half of the check: everything that is reached through inodes.
//
//   groups told ─▶ inodes: fields, forks, attributes ─▶ names: entries, links, parents ─▶ sums compared ─▶ paths
//                  (pass 2, chunks side by side)       (pass 3, directories side by side)
//
// Memory is a few bytes an inode and does not grow with extents, entries or attributes; where sums differ, lists of
// bounded size are collected to say what differs.
#pragma once

#include <vector>

#include "fsck/check.h"
#include "fsck/file_check.h"

namespace xdax::fsck {

struct FileTotals {
  std::uint64_t inodes = 0;
  std::uint64_t directories = 0;
};

/// Checks the files of a filesystem whose groups have been checked; `check.facts` holds what they told. Never throws
/// for anything on the device but what an observer throws.
FileTotals check_files(FileCheck& check, CheckObserver* observer, FindingList& findings, SkippedChecks& skipped);

}  // namespace xdax::fsck
