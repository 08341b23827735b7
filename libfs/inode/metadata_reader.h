// Reading metadata: what every layer above needs to look at a structure and to say what is wrong with it.
//
// A MetadataReader is a device and its geometry, passed by value. It throws where the checker would report: IoError
// when the device fails, CorruptionError when a verifier finds a flaw. Thread-safe: it has no state of its own.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "libfs/base/bytes.h"
#include "libfs/base/units.h"
#include "libfs/device/device.h"
#include "libfs/format/flaw.h"
#include "libfs/format/geometry.h"

namespace xdax {

/// A structure of a file, for messages.
struct MetadataPlace {
  const char* structure = "";  ///< "inode", "directory", ...
  InodeNumber ino;
  std::uint64_t byte = 0;  ///< where it starts on the device
};

class MetadataReader {
 public:
  /// Both must outlive the reader and its copies.
  MetadataReader(Device& device, const Geometry& geometry) : device_(&device), geometry_(&geometry) {}

  [[nodiscard]] Device& device() const { return *device_; }
  [[nodiscard]] const Geometry& geometry() const { return *geometry_; }

  /// Throws CorruptionError naming the first flaw, when there is one.
  void require(const Flaws& flaws, const MetadataPlace& place) const;
  /// Throws CorruptionError: `rule` is a clause that says what is wrong.
  [[noreturn]] void corrupt(const MetadataPlace& place, std::string_view rule) const;

 private:
  Device* device_;
  const Geometry* geometry_;
};

}  // namespace xdax
