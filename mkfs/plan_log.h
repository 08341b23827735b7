// Third part of the plan: the log's size, place and alignment.
#pragma once

#include "mkfs/plan.h"

namespace xdax::mkfs {

/// Blocks at the start of a group before its log or free list: header sectors and the roots of its trees.
[[nodiscard]] std::uint32_t fixed_blocks(const Geometry& geometry);

/// Fills log_start, log_blocks and log_stripe_bytes of `geometry`, which is complete but for these.
void choose_log(const FormatRequest& request, Geometry& geometry, std::vector<std::string>& notes);

}  // namespace xdax::mkfs
