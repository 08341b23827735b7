// Gives findings the paths of the files they are about.
//
// Names are not kept while a filesystem is checked. Once there are findings, the directories are read again for the
// inodes that these name, and then for the names of the directories above.
#pragma once

#include "fsck/file_check.h"

namespace xdax::fsck {

/// Fills Finding::path where an inode is named and its names lead up to the root. Bounded by the findings kept.
void find_paths(FileCheck& check, FindingList& findings);

}  // namespace xdax::fsck
