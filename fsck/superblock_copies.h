// The copies of the superblock that stand at the start of every group but the first.
//
// mkfs writes them once; the kernel brings them up to date only when the filesystem is resized or relabelled. So they
// legitimately differ from the primary in counters, in `inprogress`, in the inodes mkfs had not made yet, in quota and
// attribute bits, in the stripe geometry given at mount time, and in log stamps.
#pragma once

#include <cstdint>
#include <optional>

#include "fsck/group_context.h"
#include "libfs/device/device.h"
#include "libfs/format/superblock.h"

namespace xdax::fsck {

/// Checks the copy in the context's group and compares it with `reference`. Returns whether it is a superblock at all.
bool check_copy(GroupContext& context, ByteSpan sector, const Superblock& reference, bool sizes_may_differ);

struct FoundCopy {
  Superblock superblock;
  std::uint64_t byte = 0;
  std::uint32_t group = 0;
};

/// Looks for a copy that is sound, says that it lies where it was found, and fits the device: first where the damaged
/// primary and the usual layouts would have one, then through the first gibibyte.
[[nodiscard]] std::optional<FoundCopy> find_copy(Device& device, ByteSpan damaged_primary);

}  // namespace xdax::fsck
