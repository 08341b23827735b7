// The bytes of a buffer that a transaction logged.
#pragma once

#include "libfs/base/bytes.h"
#include "libfs/journal/log_walk.h"

namespace xdax {

/// Copies what a buffer item holds over the buffer as it is on disk. False when its regions are not those that its map
/// says, or do not fit; some may have been copied by then. The format structure has been verified.
[[nodiscard]] bool copy_logged_runs(const LogItem& item, MutableByteSpan buffer);

}  // namespace xdax
