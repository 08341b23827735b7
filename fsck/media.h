// Reads every block in use, to find what the device can no longer give, and names the files that hold it.
//
// What is known to be free is left out; where free space is not known as a whole, the whole group is read. Unreadable
// blocks are found one by one, reported for each group, and then for each file that maps them. Directories and whatever
// else the check reads anyway are among them, so that one block may be reported twice: by what holds it, and as such.
#pragma once

#include "fsck/check.h"
#include "fsck/file_check.h"

namespace xdax::fsck {

/// The pass. Needs the facts of all groups and the table of inodes.
void check_media(FileCheck& check, CheckObserver* observer, FindingList& findings);

}  // namespace xdax::fsck
