// The plan: every decision about a new filesystem, made before anything is written.
//
// make_plan() turns a request and what is known of the device into a complete superblock and the few facts that are
// not in it, or refuses with one line. It does no I/O and is deterministic; the uuid is the only thing it may draw at
// random. The choices (group size, log size and place, alignments) follow mkfs.xfs so that scripts and people find what
// they expect; tests/oracle/mkfs_geometry_test.cc compares them. Thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "libfs/device/device.h"
#include "libfs/format/geometry.h"
#include "libfs/format/superblock.h"
#include "mkfs/request.h"

namespace xdax::mkfs {

/// What the planner needs to know of the device.
struct DeviceFacts {
  std::uint64_t size_bytes = 0;
  std::uint32_t sector_bytes = 512;  ///< logical
  std::uint32_t physical_sector_bytes = 512;
  std::uint64_t minimum_io_bytes = 0;  ///< 0: the device reports no stripe
  std::uint64_t optimal_io_bytes = 0;

  [[nodiscard]] static DeviceFacts of(const Device& device);
};

/// What the root directory hands down to new files.
struct RootPolicy {
  bool realtime_inherit = false;
  bool project_inherit = false;
  std::uint32_t project = 0;
  std::uint32_t extent_size_blocks = 0;
  std::uint32_t cow_extent_size_blocks = 0;
  bool dax = false;
};

struct Plan {
  /// Complete but for the counters and root inodes, which the layout fills in (AgLayout, mkfs/layout.h).
  Superblock superblock{};
  Geometry geometry;
  RootPolicy root;
  std::int64_t time_seconds = 0;
  std::uint32_t time_nanoseconds = 0;
  /// One line each: what was adjusted and why.
  std::vector<std::string> notes;
};

/// Throws RefusalError (kBadArgument, kNotSupported, kNoSpace) with one line that says what is wrong and what would be
/// right.
[[nodiscard]] Plan make_plan(const FormatRequest& given, const DeviceFacts& device);

}  // namespace xdax::mkfs
