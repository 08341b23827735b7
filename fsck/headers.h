// The four header sectors of a group: superblock copy, AGF, AGI, AGFL.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "fsck/group_context.h"
#include "libfs/format/agf.h"
#include "libfs/format/agi.h"
#include "libfs/format/superblock.h"

namespace xdax::fsck {

/// What the later checks may use of a group's headers. An absent structure could not be read or is something else.
struct GroupHeaders {
  std::optional<Agf> agf;
  std::optional<Agi> agi;
  /// The blocks of the free list; absent when the list or its ends cannot be believed.
  std::optional<std::vector<AgBlock>> free_list;
  /// Whether any of the four was found where it belongs.
  bool any = false;
};

struct HeaderOptions {
  /// What the superblock copies are compared with; the copy in group 0 is the primary itself and is not looked at.
  const Superblock& reference;
  /// The log may hold a resize: a copy may differ from the primary in the size of the filesystem.
  bool sizes_may_differ = false;
};

/// Reads and checks the header sectors of the context's group.
[[nodiscard]] GroupHeaders check_headers(GroupContext& context, const HeaderOptions& options);

}  // namespace xdax::fsck
