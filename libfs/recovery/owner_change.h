// Extent maps that two files exchanged: every block of a map names its owner, and the log only says that they all have
// a new one.
#pragma once

#include "libfs/base/units.h"
#include "libfs/device/device.h"
#include "libfs/format/geometry.h"
#include "libfs/format/inode_fork.h"

namespace xdax {

/// Makes the inode, as it is on the device, owner of the blocks of one of its extent maps. To do it twice is to do it
/// once. Throws CorruptionError for a block that cannot be of that map, IoError.
void own_map_blocks(Device& device, const Geometry& geometry, InodeNumber ino, Fork fork);

}  // namespace xdax
