// The filesystem under which fuzz targets judge single blocks: every feature on, blocks of 1 KiB, so that a block is
// small and full.
#pragma once

#include "mkfs/plan.h"

namespace xdax::fuzz {

inline Geometry small_geometry() {
  mkfs::FormatRequest request;
  request.block_bytes = 1024;
  request.uuid = Uuid::parse("01234567-89ab-cdef-0123-456789abcdef");
  return mkfs::make_plan(request, {.size_bytes = std::uint64_t{400} << 20}).geometry;
}

}  // namespace xdax::fuzz
