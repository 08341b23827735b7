// What the user asks of mkfs.xdax, before anything is decided.
//
// Every member is what one option says, or empty when it was not given, so that the planner can tell a default from a
// wish. Sizes are bytes unless the name says otherwise. A value; no I/O.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "libfs/base/uuid.h"
#include "libfs/device/device.h"

namespace xdax::mkfs {

struct FormatRequest {
  // -b, -s
  std::optional<std::uint64_t> block_bytes;
  std::optional<std::uint64_t> sector_bytes;

  // -m
  std::optional<bool> crc;
  std::optional<bool> finobt;
  std::optional<bool> rmapbt;
  std::optional<bool> reflink;
  std::optional<bool> inobtcount;
  std::optional<bool> bigtime;
  std::optional<Uuid> uuid;

  // -d
  std::optional<std::uint64_t> data_bytes;
  std::optional<std::uint64_t> ag_count;
  std::optional<std::uint64_t> ag_bytes;
  std::optional<std::uint64_t> stripe_unit_bytes;   ///< su, or sunit * 512
  std::optional<std::uint64_t> stripe_width_bytes;  ///< swidth * 512
  std::optional<std::uint64_t> stripe_width_units;  ///< sw
  bool no_align = false;
  bool data_is_file = false;             ///< file=1: create the image, or set its size
  std::optional<std::string> data_name;  ///< name=, or the device argument
  bool realtime_inherit = false;
  std::optional<std::uint64_t> project_inherit;
  std::optional<std::uint64_t> extent_size_inherit_blocks;
  std::optional<std::uint64_t> cow_extent_size_blocks;
  std::optional<bool> dax_inherit;

  // -i
  std::optional<std::uint64_t> inode_bytes;
  std::optional<std::uint64_t> inodes_per_block;
  std::optional<std::uint64_t> inode_percent;
  std::optional<bool> align_inodes;
  std::optional<bool> projid32;
  std::optional<std::uint64_t> attr_version;
  std::optional<bool> sparse;
  std::optional<bool> nrext64;
  std::optional<bool> exchange;

  // -l
  std::optional<std::uint64_t> log_bytes;
  std::optional<std::uint64_t> log_ag;
  std::optional<bool> log_internal;
  std::optional<std::uint64_t> log_version;
  std::optional<std::uint64_t> log_stripe_bytes;  ///< su, or sunit * 512
  std::optional<std::uint64_t> log_sector_bytes;
  std::optional<bool> lazy_count;
  std::optional<std::string> log_device;  ///< refused: external logs

  // -n
  std::optional<std::uint64_t> directory_block_bytes;
  std::optional<std::string> directory_version;  ///< "2" or "ci"
  std::optional<bool> ftype;
  std::optional<bool> parent;

  // single letters and long options
  std::string label;  ///< at most 12 bytes
  bool force = false;
  bool dry_run = false;
  bool quiet = false;
  bool no_discard = false;
  bool dax = false;  ///< 2 MiB alignment, hint and the dax flag in one word
  bool allow_tiny = false;
  bool json = false;
  IoChoice io = IoChoice::kAuto;
  /// Time stamped into the first inodes: seconds since 1970 and nanoseconds.
  std::int64_t time_seconds = 0;
  std::uint32_t time_nanoseconds = 0;

  [[nodiscard]] std::uint64_t block_bytes_or_default() const { return block_bytes.value_or(4096); }
};

}  // namespace xdax::mkfs
