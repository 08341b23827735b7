#include "mkfs/plan_sizes.h"

#include <fmt/format.h>

#include <algorithm>

#include "libfs/base/error.h"
#include "libfs/base/math.h"
#include "libfs/cli/parse_size.h"

namespace xdax::mkfs {
namespace {

[[noreturn]] void refuse(const std::string& text, Errc code = Errc::kBadArgument) { throw RefusalError(code, text); }

void refuse_unsupported(const FormatRequest& request) {
  if (request.crc == false) {
    refuse("-m crc=0: only version 5 filesystems are made; leave crc out, or use mkfs.xfs for version 4",
           Errc::kNotSupported);
  }
  if (request.log_device || request.log_internal == false) {
    refuse("-l logdev: external logs are not supported; leave it out for an internal log", Errc::kNotSupported);
  }
  if (request.realtime_inherit) {
    refuse("-d rtinherit: realtime devices are not supported; leave it out", Errc::kNotSupported);
  }
  const auto always_on = [](const std::optional<bool>& given, const char* what) {
    if (given == false) refuse(fmt::format("{}=0: always on in version 5 filesystems; leave it out", what));
  };
  always_on(request.ftype, "-n ftype");
  always_on(request.projid32, "-i projid32bit");
  always_on(request.lazy_count, "-l lazy-count");
  always_on(request.align_inodes, "-i align");
  if (request.attr_version.value_or(2) != 2) {
    refuse(fmt::format("-i attr={}: always 2 in version 5 filesystems; leave it out", *request.attr_version));
  }
  if (request.log_version.value_or(2) != 2) refuse("-l version=1: always 2 in version 5 filesystems; leave it out");
  const std::string directories = request.directory_version.value_or("2");
  if (directories != "2" && directories != "ci")
    refuse(fmt::format("-n version={}: give 2, or ci for ASCII case-insensitive names", directories));
}

std::uint32_t choose_sector_log(const FormatRequest& request, const DeviceFacts& device, std::uint32_t block_bytes) {
  if (request.sector_bytes) {
    if (*request.sector_bytes > block_bytes) {
      refuse(fmt::format("-s size={}: larger than the block size {}; give a sector of at most a block",
                         *request.sector_bytes, block_bytes));
    }
    if (*request.sector_bytes < device.sector_bytes) {
      refuse(fmt::format("-s size={}: the device cannot write less than {} bytes; give at least that",
                         *request.sector_bytes, device.sector_bytes));
    }
    return floor_log2(*request.sector_bytes);
  }
  // The physical sector avoids read-modify-write in the drive; where blocks are smaller, the logical one must do.
  std::uint32_t chosen = std::max(device.physical_sector_bytes, device.sector_bytes);
  if (chosen > block_bytes || chosen > (1u << limits::kMaxSectorLog)) chosen = device.sector_bytes;
  if (chosen > block_bytes) {
    refuse(fmt::format("-b size={}: smaller than the device's sector of {} bytes; give a block of at least that",
                       block_bytes, device.sector_bytes));
  }
  return floor_log2(chosen);
}

std::uint32_t choose_inode_log(const FormatRequest& request, std::uint32_t block_bytes) {
  const std::uint32_t largest = std::min(block_bytes / 2, 1u << limits::kMaxInodeLog);
  constexpr std::uint32_t kSmallest = 1u << limits::kMinInodeLog;
  std::uint64_t inode_bytes = request.inode_bytes.value_or(kSmallest);
  std::string option = fmt::format("-i size={}", inode_bytes);
  if (request.inodes_per_block) {
    option = fmt::format("-i perblock={}", *request.inodes_per_block);
    if (!std::has_single_bit(*request.inodes_per_block)) refuse(option + ": give a power of two");
    inode_bytes = block_bytes / *request.inodes_per_block;
  }
  if (inode_bytes < kSmallest || inode_bytes > largest) {
    refuse(fmt::format("{}: inodes of {} bytes do not go with blocks of {}; give a size from {} to {}", option,
                       inode_bytes, block_bytes, kSmallest, largest));
  }
  return floor_log2(inode_bytes);
}

}  // namespace

Features choose_features(const FormatRequest& request) {
  refuse_unsupported(request);
  const bool finobt = request.finobt.value_or(true);
  if (request.inobtcount == true && !finobt) {
    refuse("-m inobtcount=1: needs finobt; give finobt=1 too, or leave inobtcount out");
  }
  Features features;
  features.versionnum = 5 | version_bits::kNlink | version_bits::kAlign | version_bits::kLogV2 |
                        version_bits::kExtFlag | version_bits::kDirV2 | version_bits::kMoreBits;
  if (request.directory_version == "ci") features.versionnum |= version_bits::kAsciiCi;
  features.features2 =
      features2_bits::kLazyCount | features2_bits::kAttr2 | features2_bits::kProjid32 | features2_bits::kCrc;
  const auto add = [](std::uint32_t& mask, std::uint32_t bit, bool on) { mask |= on ? bit : 0; };
  add(features.ro_compat, ro_compat_bits::kFinobt, finobt);
  add(features.ro_compat, ro_compat_bits::kRmapbt, request.rmapbt.value_or(true));
  add(features.ro_compat, ro_compat_bits::kReflink, request.reflink.value_or(true));
  add(features.ro_compat, ro_compat_bits::kInobtCount, request.inobtcount.value_or(finobt));
  add(features.incompat, incompat_bits::kFtype, true);
  add(features.incompat, incompat_bits::kSparse, request.sparse.value_or(true));
  add(features.incompat, incompat_bits::kBigtime, request.bigtime.value_or(true));
  add(features.incompat, incompat_bits::kNrext64, request.nrext64.value_or(true));
  add(features.incompat, incompat_bits::kExchange, request.exchange.value_or(false));
  add(features.incompat, incompat_bits::kParent, request.parent.value_or(false));
  return features;
}

Sizes choose_sizes(const FormatRequest& request, const DeviceFacts& device, std::vector<std::string>& notes) {
  Sizes sizes;
  const auto block_bytes = static_cast<std::uint32_t>(request.block_bytes_or_default());
  sizes.block_log = floor_log2(block_bytes);
  sizes.sector_log = choose_sector_log(request, device, block_bytes);
  if (sizes.sector_bytes() < device.physical_sector_bytes) {
    notes.push_back(fmt::format("sectors of {} bytes are used on a device whose physical sectors have {}",
                                sizes.sector_bytes(), device.physical_sector_bytes));
  }
  sizes.inode_log = choose_inode_log(request, block_bytes);

  const std::uint64_t directory_bytes = request.directory_block_bytes.value_or(std::max(block_bytes, 4096u));
  if (directory_bytes < block_bytes) {
    refuse(
        fmt::format("-n size={}: smaller than the block size {}; give at least a block", directory_bytes, block_bytes));
  }
  sizes.directory_log = floor_log2(directory_bytes);

  const std::uint64_t log_sector_bytes = request.log_sector_bytes.value_or(sizes.sector_bytes());
  if (log_sector_bytes != sizes.sector_bytes()) {
    refuse(
        fmt::format("-l sectsize={}: an internal log has the sectors of its device, {} bytes; give -s size={} for both",
                    log_sector_bytes, sizes.sector_bytes(), log_sector_bytes));
  }
  sizes.log_sector_log = floor_log2(log_sector_bytes);
  return sizes;
}

}  // namespace xdax::mkfs
