// Mappings of a fork, made and undone with the reverse map in step. The space itself stays in use.
#pragma once

#include <cstdint>
#include <vector>

#include "libfs/inode/fork_writer.h"

namespace xdax {

/// Maps what was a hole. Throws CorruptionError for what is mapped already, RefusalError (kNoSpace), IoError.
void add_mapping(ForkWriter& fork, const Extent& extent);
/// Unmaps a range and returns what was mapped there. Throws CorruptionError when the reverse map says otherwise.
std::vector<Extent> remove_mappings(ForkWriter& fork, FileBlock start, std::uint64_t length_blocks);

}  // namespace xdax
