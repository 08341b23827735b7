// An XFS image for the oracle tests of libfs/format: mkfs.xfs makes it, the kernel fills it, pread looks at it.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

#include "libfs/base/bytes.h"
#include "libfs/format/flaw.h"
#include "libfs/format/geometry.h"
#include "libfs/format/superblock.h"

namespace xdax::test {

using Bytes = std::vector<std::byte>;

/// One line for each flaw.
inline std::string describe(const Flaws& flaws) {
  std::string text;
  for (const Flaw& flaw : flaws) {
    text += std::string("  ") + to_string(flaw.kind) + " " + flaw.field + " at " + std::to_string(flaw.offset_bytes) +
            ": found " + std::to_string(flaw.found) + ", expected " + std::to_string(flaw.expected) + " (" + flaw.rule +
            ")\n";
  }
  return text;
}

/// A file that holds a filesystem, read-only.
class Image {
 public:
  explicit Image(const std::filesystem::path& path) : descriptor_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    if (descriptor_ < 0) throw std::runtime_error("cannot open " + path.string());
    const Bytes first = read(0, kBasicBlockBytes);
    geometry_ = Geometry(view<Superblock>(first));
  }
  ~Image() { ::close(descriptor_); }
  Image(const Image&) = delete;
  Image& operator=(const Image&) = delete;

  [[nodiscard]] const Geometry& geometry() const { return geometry_; }

  [[nodiscard]] Bytes read(std::uint64_t offset_bytes, std::size_t length_bytes) const {
    Bytes bytes(length_bytes);
    const ssize_t got = ::pread(descriptor_, bytes.data(), length_bytes, static_cast<off_t>(offset_bytes));
    if (got != static_cast<ssize_t>(length_bytes)) throw std::runtime_error("short read of an image");
    return bytes;
  }
  [[nodiscard]] Bytes block(FsBlock block, std::uint32_t count = 1) const {
    return read(geometry_.byte_of(block), std::size_t{count} << geometry_.block_log);
  }
  [[nodiscard]] Bytes block(AgNumber ag, AgBlock block) const {
    return read(geometry_.byte_of(ag, block), geometry_.block_bytes);
  }

 private:
  int descriptor_;
  Geometry geometry_;
};

}  // namespace xdax::test
