// Second part of the plan: data blocks, stripe, and allocation groups.
#pragma once

#include "mkfs/plan.h"
#include "mkfs/plan_sizes.h"

namespace xdax::mkfs {

struct Stripe {
  std::uint32_t unit_blocks = 0;  ///< 0: none
  std::uint32_t width_blocks = 0;
};

struct Groups {
  std::uint64_t data_blocks = 0;
  std::uint64_t ag_blocks = 0;
  std::uint64_t ag_count = 0;
};

/// The stripe the user gives, or the device reports, in blocks.
[[nodiscard]] Stripe choose_stripe(const FormatRequest& request, const DeviceFacts& device, const Sizes& sizes,
                                   std::vector<std::string>& notes);

/// How many groups of what size. May round the group size to the stripe and drop a last group that is too small.
[[nodiscard]] Groups choose_groups(const FormatRequest& request, const DeviceFacts& device, const Sizes& sizes,
                                   const Stripe& stripe, std::vector<std::string>& notes);

}  // namespace xdax::mkfs
