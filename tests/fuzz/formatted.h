// A small filesystem, empty, as mkfs.xdax makes it: what fuzz targets of whole images change.
#pragma once

#include <vector>

#include "libfs/device/memory_device.h"
#include "libfs/format/geometry.h"
#include "libfs/format/superblock.h"
#include "mkfs/format.h"
#include "mkfs/plan.h"

namespace xdax::fuzz {

struct Formatted {
  Formatted(std::uint64_t size_bytes, std::uint32_t groups) : device({.size_bytes = size_bytes}) {
    mkfs::FormatRequest request;
    request.allow_tiny = true;
    request.ag_count = groups;
    request.rmapbt = true;
    request.uuid = Uuid{};
    request.uuid->bytes[0] = 1;
    const mkfs::Plan plan = mkfs::make_plan(request, mkfs::DeviceFacts::of(device));
    mkfs::format_device(device, plan, {});
    std::vector<std::byte> sector(kBasicBlockBytes);
    device.read(0, sector);
    geometry = Geometry(view<Superblock>(sector));
  }

  MemoryDevice device;
  Geometry geometry;
};

}  // namespace xdax::fuzz
