// A change of an attribute that a log announces and does not say is done (ATTRI).
//
// However much of it was done before, the end is the same: the attribute has its new value, or is gone, and so is what
// was begun of it and nobody sees (INCOMPLETE). Of a parent pointer that is replaced, the old one is gone and the new
// one there. What a mount makes of each was learnt from tests/oracle/recovery_intents_kernel_test.cc.
#pragma once

#include "libfs/journal/log_walk.h"
#include "libfs/journal/transaction.h"

namespace xdax {

/// Throws CorruptionError for an intent whose regions are not those its format says, or that is not for this inode or
/// filesystem; RefusalError (kNoSpace), IoError.
void finish_attribute(Transaction& transaction, const LogItem& item);

}  // namespace xdax
