#include "libfs/space/allocator.h"

#include <fmt/format.h>

#include <algorithm>

#include "libfs/base/error.h"
#include "libfs/space/refcount.h"

namespace xdax {

std::optional<Extent64> Allocator::in_group(AgNumber ag, const SpaceRequest& request, std::uint32_t least,
                                            std::uint32_t alignment) {
  const Geometry& geometry = transaction_.geometry();
  Group group(transaction_, ag);
  GroupRequest wanted{.least = least,
                      .most = request.most,
                      .alignment = alignment,
                      .near = {},
                      .reserved = request.reserved,
                      .owner = request.owner};
  if (request.near && geometry.ag_of(*request.near) == ag) wanted.near = geometry.ag_block_of(*request.near);
  if (group.agf().longest < least) return std::nullopt;
  const auto extent = FreeSpace(group).allocate(wanted);
  if (!extent) return std::nullopt;
  return Extent64{.start = geometry.fs_block(ag, extent->start), .length_blocks = extent->length_blocks};
}

Extent64 Allocator::allocate(const SpaceRequest& wanted) {
  const Geometry& geometry = transaction_.geometry();
  SpaceRequest request = wanted;
  const auto usable = transaction_.journal().usable_blocks(transaction_.counters());
  if (usable && !request.reserved && !request.from_pool) {
    if (*usable < request.least) {
      throw RefusalError(Errc::kNoSpace, fmt::format("{}: no space left for {} blocks",
                                                     transaction_.journal().device().name(), request.least));
    }
    request.most = static_cast<std::uint32_t>(std::min<std::uint64_t>(request.most, *usable));
  }
  const std::uint32_t first =
      request.near && geometry.valid_fs_block(*request.near) ? geometry.ag_of(*request.near).value() : 0;
  struct Pass {
    std::uint32_t least;
    std::uint32_t alignment;
  };
  // All in one piece and aligned; then in one piece; then whatever there is.
  std::vector<Pass> passes{{request.most, request.alignment}};
  if (request.alignment > 1 && !request.must_align) passes.push_back({request.most, 1});
  if (request.least < request.most) {
    passes.push_back({request.least, request.must_align ? request.alignment : 1});
  }
  for (const Pass& pass : passes) {
    for (std::uint32_t i = 0; i < geometry.ag_count; ++i) {
      const AgNumber ag{(first + i) % geometry.ag_count};
      const auto extent = in_group(ag, request, pass.least, pass.alignment);
      if (!extent) continue;
      if (request.zero) {
        transaction_.journal().device().zero(geometry.byte_of(extent->start),
                                             std::uint64_t{extent->length_blocks} << geometry.block_log,
                                             ZeroMode::kAllocated);
        transaction_.journal().note_data();
      }
      return *extent;
    }
  }
  throw RefusalError(Errc::kNoSpace, fmt::format("{}: no space left for {} blocks",
                                                 transaction_.journal().device().name(), request.least));
}

void Allocator::free(const Extent64& extent, const ExtentOwner& owner) {
  const Geometry& geometry = transaction_.geometry();
  if (!geometry.valid_extent(extent.start, extent.length_blocks)) {
    throw CorruptionError(
        Errc::kBadStructure,
        fmt::format("{}: an extent to be freed lies outside of the filesystem: block {}, {} blocks",
                    transaction_.journal().device().name(), extent.start.value(), extent.length_blocks));
  }
  Group group(transaction_, geometry.ag_of(extent.start));
  FreeSpace(group).free({.start = geometry.ag_block_of(extent.start), .length_blocks = extent.length_blocks}, owner);
}

void Allocator::release(const Extent64& extent, const ExtentOwner& owner) {
  const Geometry& geometry = transaction_.geometry();
  Group group(transaction_, geometry.ag_of(extent.start));
  const GroupExtent whole{.start = geometry.ag_block_of(extent.start), .length_blocks = extent.length_blocks};
  FreeSpace space(group);
  space.fill_list();
  ReverseMap(group).remove(whole, owner);
  for (const GroupExtent& unowned : Refcounts(group).decrease(whole)) {
    space.free(unowned, {.owner = rmap::kOwnerNull, .offset = 0});
  }
}

void Allocator::share(const Extent64& extent, const ExtentOwner& owner) {
  const Geometry& geometry = transaction_.geometry();
  Group group(transaction_, geometry.ag_of(extent.start));
  const GroupExtent whole{.start = geometry.ag_block_of(extent.start), .length_blocks = extent.length_blocks};
  FreeSpace(group).fill_list();
  Refcounts(group).increase(whole);
  ReverseMap(group).add(whole, owner);
}

}  // namespace xdax
