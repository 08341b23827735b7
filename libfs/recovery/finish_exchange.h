// An exchange of what two files map that a log announces and does not say is done (XMI).
//
// Extent by extent, from the start of both ranges: what one file maps there the other maps then, with the reverse map
// in step. Ranges where both map the same, or nothing, stay as they are. With the last extents go the sizes of the
// files.
//
// What a mount makes of it was learnt from tests/oracle/recovery_intents_kernel_test.cc. Two things a kernel (6.18)
// does otherwise: the sizes it sets are not those of the intent, but those the files have by then, of which one may
// have grown on the way; and it frees what lies behind the end that a growing file had before, unless its blocks were
// preallocated.
#pragma once

#include "libfs/format/log_items.h"
#include "libfs/journal/transaction.h"

namespace xdax {

/// Exchanges as much of the front of `left`, which was verified, as one transaction takes, and takes it off. False when
/// nothing is left. Throws CorruptionError for one that is not for these inodes or not for this filesystem;
/// RefusalError (kNoSpace), IoError.
[[nodiscard]] bool exchange_some(Transaction& transaction, XmiLogFormat& left);

}  // namespace xdax
