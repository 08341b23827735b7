// The bytes that make a new filesystem usable: the first inodes and the log.
#pragma once

#include <cstdint>
#include <vector>

#include "libfs/base/bytes.h"
#include "mkfs/layout.h"

namespace xdax::mkfs {

/// Renders the first inode chunk (root directory, realtime bitmap and summary, free inodes) into `blocks`, which is
/// layout.inodes blocks of zeros.
void render_first_inodes(const Plan& plan, const AgLayout& layout, MutableByteSpan blocks);

/// The first record of a log that has only ever been unmounted: what the start of the zeroed log must hold.
[[nodiscard]] std::vector<std::byte> render_log_start(const Plan& plan);

}  // namespace xdax::mkfs
