// Values of attributes in blocks of their own.
//
// A value's blocks are never changed: another value gets other blocks. They are not logged but written at once, which
// nobody sees before the transaction is durable, because they were free until then. Not thread-safe. Source: XFS
// Algorithms & Data Structures, "Remote Attribute Values".
#pragma once

#include <cstdint>

#include "libfs/base/bytes.h"
#include "libfs/inode/fork_writer.h"

namespace xdax {

/// The lowest `length_blocks` file blocks behind the first that are a hole of an attribute fork. Throws RefusalError
/// (kNoSpace) when there are none that 32 bits can name.
[[nodiscard]] FileBlock attr_hole(ForkWriter& fork, std::uint32_t length_blocks);

/// Writes a value and returns its first block in the fork. Throws RefusalError (kNoSpace), IoError.
[[nodiscard]] FileBlock write_remote_value(ForkWriter& fork, ByteSpan value);
/// Frees the blocks of a value.
void free_remote_value(ForkWriter& fork, FileBlock first, std::uint32_t value_bytes);

}  // namespace xdax
