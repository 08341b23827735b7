#include "mkfs/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "libfs/base/error.h"
#include "libfs/base/math.h"
#include "mkfs/layout.h"
#include "mkfs/plan_groups.h"
#include "mkfs/plan_log.h"
#include "mkfs/plan_sizes.h"

namespace xdax::mkfs {
namespace {

constexpr std::uint64_t kTiB = 1ull << 40;
constexpr std::uint32_t kDaxBytes = 2u << 20;  // what one fault maps at most

[[noreturn]] void refuse(const std::string& text) { throw RefusalError(Errc::kBadArgument, text); }

// --dax is short for what makes 2 MiB page faults possible: groups, log and extents aligned to them, a hint that asks
// for extents of that size, and the flag that makes files DAX by default.
FormatRequest with_dax(FormatRequest request, std::vector<std::string>& notes) {
  if (!request.dax) return request;
  if (request.block_bytes_or_default() != 4096) {
    refuse(fmt::format("--dax: the kernel maps files directly only with blocks of a page; use -b size=4096, not {}",
                       *request.block_bytes));
  }
  if (request.no_align) refuse("--dax: needs the alignment that -d noalign switches off; leave one of them out");
  if (request.dax_inherit == false) refuse("--dax: -d daxinherit=0 says the opposite; leave one of them out");
  if (!request.stripe_unit_bytes && !request.stripe_width_units && !request.stripe_width_bytes) {
    request.stripe_unit_bytes = kDaxBytes;
    request.stripe_width_units = 1;
  } else if (request.stripe_unit_bytes.value_or(0) % kDaxBytes != 0) {
    notes.push_back("the stripe unit given is not a multiple of 2m, so extents may not be aligned for 2m faults");
  }
  if (!request.extent_size_inherit_blocks) request.extent_size_inherit_blocks = kDaxBytes / 4096;
  request.dax_inherit = true;
  return request;
}

std::uint32_t inode_percent(const FormatRequest& request, std::uint64_t data_bytes) {
  if (request.inode_percent) return static_cast<std::uint32_t>(*request.inode_percent);
  if (data_bytes < kTiB) return 25;
  return data_bytes < 50 * kTiB ? 5 : 1;
}

// Inode chunks are aligned so that a cluster never straddles: a cluster without sparse inodes, the whole chunk with
// them.
void set_inode_alignment(Superblock& superblock) {
  constexpr std::uint64_t kClusterInodes = 32;
  const std::uint32_t cluster_blocks =
      static_cast<std::uint32_t>((kClusterInodes * superblock.inodesize) >> superblock.blocklog);
  const std::uint32_t chunk_blocks = static_cast<std::uint32_t>(
      (std::uint64_t{limits::kInodesPerChunk} * superblock.inodesize) >> superblock.blocklog);
  const bool sparse = superblock.features().sparse();
  superblock.inoalignmt = sparse ? chunk_blocks : cluster_blocks;
  superblock.spino_align = sparse ? cluster_blocks : 0;
}

std::uint32_t checked_hint(const std::optional<std::uint64_t>& blocks, const char* option, const Geometry& geometry) {
  const std::uint64_t most = std::min<std::uint64_t>(limits::kMaxExtentBlocks, geometry.ag_blocks / 2);
  if (blocks.value_or(0) > most)
    refuse(fmt::format("{}={}: longer than an extent can be; give at most {} blocks", option, *blocks, most));
  return static_cast<std::uint32_t>(blocks.value_or(0));
}

RootPolicy root_policy(const FormatRequest& request, const Geometry& geometry) {
  RootPolicy root;
  root.project_inherit = request.project_inherit.has_value();
  root.project = static_cast<std::uint32_t>(request.project_inherit.value_or(0));
  root.extent_size_blocks = checked_hint(request.extent_size_inherit_blocks, "-d extszinherit", geometry);
  root.cow_extent_size_blocks = checked_hint(request.cow_extent_size_blocks, "-d cowextsize", geometry);
  if (root.cow_extent_size_blocks != 0 && !geometry.features.reflink()) {
    refuse("-d cowextsize: means nothing without reflink; leave one of them out");
  }
  root.dax = request.dax_inherit.value_or(false);
  return root;
}

Superblock make_superblock(const FormatRequest& request, const Features& features, const Sizes& sizes,
                           const Stripe& stripe, const Groups& groups) {
  Superblock sb{};
  sb.magicnum = Superblock::kMagic;
  sb.blocksize = sizes.block_bytes();
  sb.dblocks = groups.data_blocks;
  sb.uuid = request.uuid ? *request.uuid : Uuid::random();
  sb.rbmino = kNullInode.value();
  sb.rsumino = kNullInode.value();
  sb.rextsize = std::max(4096u >> sizes.block_log, 1u);
  sb.agblocks = static_cast<std::uint32_t>(groups.ag_blocks);
  sb.agcount = static_cast<std::uint32_t>(groups.ag_count);
  sb.versionnum = features.versionnum;
  sb.sectsize = static_cast<std::uint16_t>(sizes.sector_bytes());
  sb.inodesize = static_cast<std::uint16_t>(1u << sizes.inode_log);
  sb.inopblock = static_cast<std::uint16_t>(1u << (sizes.block_log - sizes.inode_log));
  std::memcpy(sb.fname, request.label.data(), std::min(request.label.size(), sizeof(sb.fname)));
  sb.blocklog = static_cast<std::uint8_t>(sizes.block_log);
  sb.sectlog = static_cast<std::uint8_t>(sizes.sector_log);
  sb.inodelog = static_cast<std::uint8_t>(sizes.inode_log);
  sb.inopblog = static_cast<std::uint8_t>(sizes.block_log - sizes.inode_log);
  sb.agblklog = static_cast<std::uint8_t>(ag_block_log_for(sb.agblocks));
  sb.imax_pct = static_cast<std::uint8_t>(inode_percent(request, groups.data_blocks << sizes.block_log));
  sb.unit = stripe.unit_blocks;
  sb.width = stripe.width_blocks;
  sb.dirblklog = static_cast<std::uint8_t>(sizes.directory_log - sizes.block_log);
  sb.features2 = features.features2;
  sb.bad_features2 = features.features2;
  sb.features_compat = features.compat;
  sb.features_ro_compat = features.ro_compat;
  sb.features_incompat = features.incompat;
  if (stripe.unit_blocks != 0) sb.versionnum = static_cast<std::uint16_t>(sb.versionnum | version_bits::kDalign);
  if (sizes.sector_log != kBasicBlockLog || sizes.log_sector_log != kBasicBlockLog) {
    sb.versionnum = static_cast<std::uint16_t>(sb.versionnum | version_bits::kSector);
    sb.logsectlog = static_cast<std::uint8_t>(sizes.log_sector_log);
    sb.logsectsize = static_cast<std::uint16_t>(1u << sizes.log_sector_log);
  }
  set_inode_alignment(sb);
  return sb;
}

}  // namespace

DeviceFacts DeviceFacts::of(const Device& device) {
  const DeviceTraits& traits = device.traits();
  return {.size_bytes = device.size_bytes(),
          .sector_bytes = traits.sector_bytes,
          .physical_sector_bytes = traits.physical_sector_bytes,
          .minimum_io_bytes = traits.minimum_io_bytes,
          .optimal_io_bytes = traits.optimal_io_bytes};
}

Plan make_plan(const FormatRequest& given, const DeviceFacts& device) {
  Plan plan;
  const FormatRequest request = with_dax(given, plan.notes);
  if (request.label.size() > sizeof(Superblock::fname)) {
    refuse(fmt::format("-L {}: a label has at most 12 bytes", request.label));
  }
  const Features features = choose_features(request);
  const Sizes sizes = choose_sizes(request, device, plan.notes);
  const Stripe stripe = choose_stripe(request, device, sizes, plan.notes);
  const Groups groups = choose_groups(request, device, sizes, stripe, plan.notes);
  plan.superblock = make_superblock(request, features, sizes, stripe, groups);
  plan.geometry = Geometry(plan.superblock);
  plan.root = root_policy(request, plan.geometry);
  choose_log(request, plan.geometry, plan.notes);
  plan.superblock.logstart = plan.geometry.log_start.value();
  plan.superblock.logblocks = plan.geometry.log_blocks;
  plan.superblock.logsunit = plan.geometry.log_stripe_bytes;
  plan.time_seconds = request.time_seconds;
  plan.time_nanoseconds = request.time_nanoseconds;
  place_root_inodes(plan);
  return plan;
}

}  // namespace xdax::mkfs
