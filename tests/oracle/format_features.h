// Features that the kernel knows and the machine's xfsprogs do not.
#pragma once

#include <sys/ioctl.h>

#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <string>
#include <system_error>

#include "libfs/base/crc32c.h"
#include "tests/oracle/format_image.h"
#include "tests/support/temp_dir.h"

namespace xdax::test {

/// Sets bits in every superblock of an image and seals them.
inline void add_incompat_features(const std::filesystem::path& path, std::uint32_t bits) {
  const Image image(path);
  const Geometry& geometry = image.geometry();
  for (std::uint32_t ag = 0; ag < geometry.ag_count; ++ag) {
    const std::uint64_t at = geometry.header_byte(AgNumber(ag), 0);
    Bytes sector = image.read(at, geometry.sector_bytes);
    auto& superblock = mutable_view<Superblock>(sector);
    superblock.features_incompat = superblock.features_incompat | bits;
    seal(sector, offsetof(Superblock, crc));
    overwrite(path, at, {reinterpret_cast<const char*>(sector.data()), sector.size()});
  }
}

/// Exchanges the first `length_bytes` of two files. The call is younger than the machine's headers.
inline void exchange_range(int first, int second, std::uint64_t length_bytes) {
  struct Request {
    std::int32_t other_descriptor;
    std::uint32_t pad;
    std::uint64_t other_offset;
    std::uint64_t offset;
    std::uint64_t length;
    std::uint64_t flags;
  } request{.other_descriptor = first, .pad = 0, .other_offset = 0, .offset = 0, .length = length_bytes, .flags = 0};
  if (::ioctl(second, _IOW('X', 129, Request), &request) != 0) {
    throw std::system_error(errno, std::generic_category(), "exchange range");
  }
}

}  // namespace xdax::test
