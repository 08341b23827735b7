#include "mkfs/plan_log.h"

#include <fmt/format.h>

#include <algorithm>

#include "libfs/base/error.h"
#include "libfs/base/math.h"
#include "libfs/cli/parse_size.h"
#include "libfs/format/log_limits.h"
#include "mkfs/layout.h"

namespace xdax::mkfs {
namespace {

constexpr std::uint64_t kMiB = 1ull << 20;
constexpr std::uint64_t kLogShare = 2048;                    // one byte of log for so many of data
constexpr std::uint64_t kReasonableLogBytes = 64 * kMiB;     // less makes busy filesystems stall
constexpr std::uint64_t kSmallFilesystemBytes = 300 * kMiB;  // below, the log is as small as it can be
constexpr std::uint64_t kFallbackStripeBytes = 32 * 1024;

[[noreturn]] void refuse(const std::string& text) { throw RefusalError(Errc::kBadArgument, text); }

std::uint32_t choose_log_stripe(const FormatRequest& request, const Geometry& geometry,
                                std::vector<std::string>& notes) {
  if (request.log_stripe_bytes && *request.log_stripe_bytes > 0) {
    const std::uint64_t unit = *request.log_stripe_bytes;
    if (unit % geometry.block_bytes != 0) {
      refuse(fmt::format("-l su={}: not a multiple of the block size {}; give one of at most 256k", unit,
                         geometry.block_bytes));
    }
    return static_cast<std::uint32_t>(unit);
  }
  // A log of large sectors pads its records to blocks; larger units are for stripes under small sectors.
  if (geometry.log_sector_bytes != kBasicBlockBytes) return geometry.block_bytes;
  std::uint64_t unit = std::uint64_t{geometry.stripe_unit_blocks} << geometry.block_log;
  if (unit > limits::kMaxLogStripeBytes) {
    unit = kFallbackStripeBytes >= geometry.block_bytes ? kFallbackStripeBytes : 0;
    notes.push_back(fmt::format("the stripe unit is larger than the 256k a log can have; the log uses {}",
                                unit != 0 ? cli::format_size(unit) : "none"));
  }
  return unit == 0 ? 1 : static_cast<std::uint32_t>(unit);
}

// The longest log that may start at block `start` of group `ag`: the free list and one block for the group's trees must
// stay, and in group 0 a few chunks of inodes, so that the group is never completely full.
std::uint64_t longest_log(const Geometry& geometry, AgNumber ag, std::uint64_t start) {
  constexpr std::uint32_t kFreeSpaceTrees = 4;  // what the kernel keeps back for them in every group
  constexpr std::uint32_t kFirstChunks = 4;
  std::uint64_t kept = std::max(free_list_blocks(geometry), kFreeSpaceTrees) + 1;
  if (ag.value() == 0) kept += kFirstChunks * geometry.inode_chunk_blocks();
  const std::uint64_t length = geometry.ag_length_blocks(ag);
  const std::uint64_t room = length > start + kept ? length - start - kept : 0;
  return std::min({room, std::uint64_t{limits::kMaxLogBlocks}, limits::kMaxLogBytes >> geometry.block_log});
}

std::uint64_t default_log_blocks(const Geometry& geometry, std::uint64_t least) {
  const std::uint64_t data_bytes = geometry.size_bytes();
  if (data_bytes < kSmallFilesystemBytes) return least;
  const std::uint64_t share_blocks = (data_bytes / kLogShare) >> geometry.block_log;
  return std::max({share_blocks, kReasonableLogBytes >> geometry.block_log, least});
}

}  // namespace

std::uint32_t fixed_blocks(const Geometry& geometry) {
  const Features& features = geometry.features;
  return geometry.ag_header_blocks() + 3 + (features.finobt() ? 1 : 0) + (features.rmapbt() ? 1 : 0) +
         (features.reflink() ? 1 : 0);
}

void choose_log(const FormatRequest& request, Geometry& geometry, std::vector<std::string>& notes) {
  geometry.log_stripe_bytes = choose_log_stripe(request, geometry, notes);
  const std::uint64_t least = minimum_log_blocks(geometry);
  const std::uint64_t requested_ag = request.log_ag.value_or(geometry.ag_count / 2);
  if (requested_ag >= geometry.ag_count) {
    refuse(fmt::format("-l agnum={}: there are only {} groups; give a number below that", requested_ag,
                       geometry.ag_count));
  }
  const AgNumber ag(static_cast<std::uint32_t>(requested_ag));

  // Log and stripe start together, so that every full log record is a full stripe unit.
  std::uint64_t unit =
      geometry.log_stripe_bytes > 1 ? geometry.log_stripe_bytes >> geometry.block_log : geometry.stripe_unit_blocks;
  if (unit == 0) unit = 1;
  const std::uint64_t start = round_up(std::uint64_t{fixed_blocks(geometry)}, unit);
  const std::uint64_t most = round_down(longest_log(geometry, ag, start), unit);

  std::uint64_t blocks = std::min(round_up(default_log_blocks(geometry, least), unit), most);
  if (request.log_bytes) {
    if (*request.log_bytes % (unit << geometry.block_log) != 0) {
      refuse(fmt::format("-l size={}: not a multiple of {} bytes, the {}; {} would be", *request.log_bytes,
                         unit << geometry.block_log, unit > 1 ? "log's stripe unit" : "block size",
                         round_up(*request.log_bytes, unit << geometry.block_log)));
    }
    blocks = *request.log_bytes >> geometry.block_log;
  }
  if (blocks < least) {
    refuse(fmt::format("a log of {} blocks is too small; this geometry needs at least {} ({} bytes){}", blocks, least,
                       least << geometry.block_log,
                       least > most ? ", and a group must have room for it: make the groups larger" : ""));
  }
  if (blocks > most) {
    refuse(fmt::format("a log of {} blocks is too large; group {} has room for {} ({} bytes)", blocks, ag.value(), most,
                       most << geometry.block_log));
  }
  geometry.log_start = geometry.fs_block(ag, AgBlock(static_cast<std::uint32_t>(start)));
  geometry.log_blocks = static_cast<std::uint32_t>(blocks);
}

}  // namespace xdax::mkfs
