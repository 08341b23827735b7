// From the flaws of libfs/format's verifiers to findings.
#pragma once

#include <string_view>

#include "fsck/finding.h"
#include "libfs/format/flaw.h"

namespace xdax::fsck {

/// The row that stands for this flaw: the group is `group_name` when given ("copy"), else the first part of the flaw's
/// field; the name is the flaw's kind. "structure.flaw" when the table has no such row.
[[nodiscard]] Problem problem_of(const Flaw& flaw, std::string_view group_name = {});

/// Adds one finding for each flaw. `place` says where (structure, group, block, byte); problem, field, found, expected
/// and detail come from the flaw, and the byte is moved to the field.
void add_flaws(FindingSink& sink, const Flaws& flaws, const Finding& place, std::string_view group_name = {});

}  // namespace xdax::fsck
