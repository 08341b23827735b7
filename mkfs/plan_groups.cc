#include "mkfs/plan_groups.h"

#include <fmt/format.h>

#include <algorithm>

#include "libfs/base/error.h"
#include "libfs/base/math.h"
#include "libfs/cli/parse_size.h"

namespace xdax::mkfs {
namespace {

constexpr std::uint64_t kMiB = 1ull << 20;
constexpr std::uint64_t kGiB = 1ull << 30;
constexpr std::uint64_t kTiB = 1ull << 40;
/// Below this a filesystem is refused without --allow-tiny: its log and reservations leave little room, and no
/// distribution supports it.
constexpr std::uint64_t kSmallestSupportedBytes = 300 * kMiB;

[[noreturn]] void refuse(const std::string& text, Errc code = Errc::kBadArgument) { throw RefusalError(code, text); }

std::uint64_t choose_data_blocks(const FormatRequest& request, const DeviceFacts& device, const Sizes& sizes) {
  if (request.data_bytes && *request.data_bytes > device.size_bytes) {
    refuse(fmt::format("-d size={}: the device holds only {} bytes; give at most that", *request.data_bytes,
                       device.size_bytes));
  }
  const std::uint64_t bytes = request.data_bytes.value_or(device.size_bytes);
  if (request.data_bytes && bytes % sizes.block_bytes() != 0) {
    refuse(fmt::format("-d size={}: not a multiple of the block size {}; {} would be", bytes, sizes.block_bytes(),
                       round_down(bytes, std::uint64_t{sizes.block_bytes()})));
  }
  if (bytes < limits::kMinAgBytes) {
    refuse(fmt::format("{} bytes are too few for a filesystem; the least is 16m", bytes), Errc::kNoSpace);
  }
  if (bytes < kSmallestSupportedBytes && !request.allow_tiny) {
    refuse(fmt::format("{} bytes are less than 300m; give --allow-tiny if a filesystem that small is wanted", bytes),
           Errc::kNoSpace);
  }
  return bytes >> sizes.block_log;
}

// The number of groups is a compromise between parallelism and fragmentation: four on a single disk, more where a
// stripe tells of several, and groups of the largest size on very large devices.
Groups default_groups(std::uint64_t data_blocks, const Sizes& sizes, bool striped) {
  const std::uint64_t bytes = data_blocks << sizes.block_log;
  const std::uint64_t most_ag_blocks = (limits::kMaxAgBytes - 1) >> sizes.block_log;
  unsigned shift = 0;
  if (bytes >= (striped ? 32 : 4) * kTiB) {
    return {data_blocks, most_ag_blocks, div_ceil(data_blocks, most_ag_blocks)};
  }
  if (!striped && bytes >= 128 * kMiB) {
    shift = 2;
  } else if (bytes > 512 * kGiB) {
    shift = 5;
  } else if (bytes > 8 * kGiB) {
    shift = 4;
  } else if (bytes >= 128 * kMiB) {
    shift = 3;
  } else if (bytes >= 64 * kMiB) {
    shift = 2;
  } else if (bytes >= 32 * kMiB) {
    shift = 1;
  }
  const std::uint64_t ag_blocks = std::min(div_ceil(data_blocks, std::uint64_t{1} << shift), most_ag_blocks);
  return {data_blocks, ag_blocks, div_ceil(data_blocks, ag_blocks)};
}

Groups requested_groups(const FormatRequest& request, std::uint64_t data_blocks, const Sizes& sizes, bool striped) {
  if (request.ag_bytes) {
    if (*request.ag_bytes % sizes.block_bytes() != 0) {
      refuse(fmt::format("-d agsize={}: not a multiple of the block size {}; {} would be", *request.ag_bytes,
                         sizes.block_bytes(), round_up(*request.ag_bytes, std::uint64_t{sizes.block_bytes()})));
    }
    const std::uint64_t ag_blocks = *request.ag_bytes >> sizes.block_log;
    if (ag_blocks > data_blocks) {
      refuse(fmt::format("-d agsize={}: larger than the filesystem of {} blocks; give a smaller one", *request.ag_bytes,
                         data_blocks));
    }
    return {data_blocks, ag_blocks, div_ceil(data_blocks, ag_blocks)};
  }
  if (request.ag_count) {
    const std::uint64_t ag_blocks = div_ceil(data_blocks, *request.ag_count);
    return {data_blocks, ag_blocks, div_ceil(data_blocks, ag_blocks)};
  }
  return default_groups(data_blocks, sizes, striped);
}

void align_to_stripe(Groups& groups, const FormatRequest& request, const Sizes& sizes, const Stripe& stripe,
                     std::vector<std::string>& notes) {
  const std::uint64_t unit = stripe.unit_blocks;
  const std::uint64_t least = limits::kMinAgBytes >> sizes.block_log;
  const std::uint64_t most = (limits::kMaxAgBytes - 1) >> sizes.block_log;
  if (groups.ag_blocks % unit != 0) {
    std::uint64_t aligned = round_up(groups.ag_blocks, unit);
    if (aligned > most) aligned = round_down(groups.ag_blocks, unit);
    if (aligned < least || aligned > most) {
      const bool given = request.stripe_unit_bytes.has_value();
      if (given) {
        refuse(fmt::format(
            "-d su={}: no group size from {} to {} blocks is a multiple of it; give a smaller stripe unit or noalign",
            *request.stripe_unit_bytes, least, most));
      }
    } else {
      groups.ag_blocks = aligned;
      groups.ag_count = div_ceil(groups.data_blocks, aligned);
    }
  }
  // Groups that all start on the same disk of a stripe would put every group's header there.
  const std::uint64_t width = stripe.width_blocks;
  if (width == unit || groups.ag_blocks % width != 0 || groups.ag_count <= 1) return;
  if (request.ag_count || request.ag_bytes) {
    notes.push_back(
        "the group size is a multiple of the stripe width, so every group starts on the same disk; one stripe unit "
        "less "
        "would spread them");
    return;
  }
  std::uint64_t shifted = groups.ag_blocks - unit;
  if (shifted < least)
    shifted = groups.data_blocks < groups.ag_blocks + unit ? groups.ag_blocks : groups.ag_blocks + unit;
  groups.ag_blocks = shifted;
  groups.ag_count = div_ceil(groups.data_blocks, shifted);
}

void check_groups(const Groups& groups, const Sizes& sizes) {
  const std::uint64_t least = limits::kMinAgBytes >> sizes.block_log;
  const std::uint64_t most = (limits::kMaxAgBytes - 1) >> sizes.block_log;
  if (groups.ag_blocks < least) {
    refuse(fmt::format("{} groups of {} blocks are too small; {} blocks is the least: ask for at most {} groups",
                       groups.ag_count, groups.ag_blocks, least,
                       std::max<std::uint64_t>(groups.data_blocks / least, 1)));
  }
  if (groups.ag_blocks > most) {
    refuse(fmt::format("{} groups of {} blocks are too large; {} blocks is the most: ask for at least {} groups",
                       groups.ag_count, groups.ag_blocks, most, div_ceil(groups.data_blocks, most)));
  }
  if (groups.ag_count > limits::kMaxAgCount) {
    refuse(fmt::format("{} groups are too many; ask for groups of at least {} blocks", groups.ag_count,
                       div_ceil(groups.data_blocks, limits::kMaxAgCount)));
  }
}

void check_stripe(std::uint64_t unit_bytes, std::uint64_t width_bytes, const Sizes& sizes) {
  if (unit_bytes % sizes.sector_bytes() != 0) {
    refuse(fmt::format("-d su={}: not a multiple of the sector size {}; give one", unit_bytes, sizes.sector_bytes()));
  }
  if (unit_bytes == 0 ? width_bytes != 0 : width_bytes == 0 || width_bytes % unit_bytes != 0) {
    refuse(fmt::format("-d swidth: a width of {} bytes is not a multiple of the unit of {}; give su and sw",
                       width_bytes, unit_bytes));
  }
  if (unit_bytes % sizes.block_bytes() != 0) {
    refuse(fmt::format("-d su={}: not a multiple of the block size {}; give one", unit_bytes, sizes.block_bytes()));
  }
  if ((width_bytes >> sizes.block_log) > 0xffffffffull) {
    refuse(fmt::format("-d sw: a stripe width of {} bytes is beyond what the format can say; give a smaller one",
                       width_bytes));
  }
}

// What the device reports is advice: anything odd about it means no stripe at all.
Stripe reported_stripe(const DeviceFacts& device, const Sizes& sizes, std::vector<std::string>& notes) {
  const std::uint64_t unit = device.minimum_io_bytes;
  const std::uint64_t width = device.optimal_io_bytes;
  // One sector or one page is how devices say that they have no stripe.
  if (unit <= device.physical_sector_bytes || width == 0 || unit == width) return {};
  if (unit % sizes.block_bytes() != 0 || width % unit != 0 || (width >> sizes.block_log) > 0xffffffffull) {
    notes.push_back(
        fmt::format("the device reports a stripe of {} by {} bytes, which does not fit blocks of {}; it is not used",
                    unit, width, sizes.block_bytes()));
    return {};
  }
  return {static_cast<std::uint32_t>(unit >> sizes.block_log), static_cast<std::uint32_t>(width >> sizes.block_log)};
}

}  // namespace

Stripe choose_stripe(const FormatRequest& request, const DeviceFacts& device, const Sizes& sizes,
                     std::vector<std::string>& notes) {
  if (request.no_align) return {};
  const bool unit_given = request.stripe_unit_bytes.has_value();
  const bool width_given = request.stripe_width_bytes.has_value() || request.stripe_width_units.has_value();
  if (unit_given != width_given)
    refuse("-d: a stripe needs both its unit and its width; give su and sw, or sunit and swidth");
  if (!unit_given) return reported_stripe(device, sizes, notes);
  const std::uint64_t unit = *request.stripe_unit_bytes;
  const std::uint64_t width =
      request.stripe_width_units ? unit * *request.stripe_width_units : *request.stripe_width_bytes;
  check_stripe(unit, width, sizes);
  return {static_cast<std::uint32_t>(unit >> sizes.block_log), static_cast<std::uint32_t>(width >> sizes.block_log)};
}

Groups choose_groups(const FormatRequest& request, const DeviceFacts& device, const Sizes& sizes, const Stripe& stripe,
                     std::vector<std::string>& notes) {
  const std::uint64_t data_blocks = choose_data_blocks(request, device, sizes);
  Groups groups = requested_groups(request, data_blocks, sizes, stripe.unit_blocks != 0);
  if (stripe.unit_blocks != 0) align_to_stripe(groups, request, sizes, stripe, notes);
  check_groups(groups, sizes);
  const std::uint64_t rest = groups.data_blocks % groups.ag_blocks;
  if (groups.ag_count > 1 && rest != 0 && rest < (limits::kMinAgBytes >> sizes.block_log)) {
    notes.push_back(fmt::format("the last {} blocks are too few for a group and stay unused", rest));
    groups.data_blocks -= rest;
    groups.ag_count -= 1;
  }
  return groups;
}

}  // namespace xdax::mkfs
