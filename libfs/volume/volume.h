// A filesystem opened for reading: the public face of what reads.
//
// open() verifies the superblock, refuses by name what this build cannot read, and refuses a log that holds changes
// which are not in place, because everything behind it may be out of date. After that a Volume is immutable: all
// members are const and thread-safe, as far as the device is. Objects it gives (Directory, FileReader, ...) are for one
// thread each and must not outlive it.
//
//   Volume volume = Volume::open(*device, {});
//   FileReader file = volume.file(volume.walk("/etc/fstab", Follow::kYes));
//
// Everything throws CorruptionError for a flaw in what it reads, IoError for a device that fails.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "libfs/attr/attributes.h"
#include "libfs/device/device.h"
#include "libfs/dir/directory.h"
#include "libfs/file/file_reader.h"
#include "libfs/format/geometry.h"
#include "libfs/inode/inode_reader.h"

namespace xdax {

struct VolumeOptions {
  /// Read in spite of a log that holds changes or cannot be understood: what is read may be out of date, and may
  /// contradict itself.
  bool ignore_log = false;
};

/// Whether a symbolic link at the end of a path is followed. One in the middle always is.
enum class Follow : std::uint8_t { kNo, kYes };

namespace limits {
/// Symbolic links on the way of one path, and bytes of a path, as the kernel has them.
inline constexpr unsigned kMaxLinksOfPath = 40;
inline constexpr std::size_t kMaxPathBytes = 4096;
}  // namespace limits

/// The geometry of a filesystem that this build can write, whatever its log holds. Throws as Volume::open() does, and
/// RefusalError (kNotSupported) for features that can only be read.
[[nodiscard]] Geometry open_geometry_to_write(Device& device);

class Volume {
 public:
  /// The device must outlive the volume. Throws RefusalError: kNotXfs; kNotSupported for a feature or a dirty log, with
  /// one line that says what to do.
  [[nodiscard]] static Volume open(Device& device, const VolumeOptions& options);

  /// Over what is known to be sound, for whoever keeps the filesystem: nothing is checked here.
  [[nodiscard]] static Volume over(Device& device, const Geometry& geometry) {
    return {device, std::make_unique<const Geometry>(geometry)};
  }

  [[nodiscard]] const Geometry& geometry() const { return *geometry_; }
  [[nodiscard]] InodeNumber root() const { return geometry_->root_inode; }

  [[nodiscard]] Inode inode(InodeNumber ino) const { return InodeReader(reader()).read(ino); }
  [[nodiscard]] Directory directory(InodeNumber ino) const { return {reader(), inode(ino)}; }
  [[nodiscard]] FileReader file(InodeNumber ino) const { return {reader(), inode(ino)}; }
  [[nodiscard]] Attributes attributes(InodeNumber ino) const { return {reader(), inode(ino)}; }
  [[nodiscard]] ExtentMap extents(InodeNumber ino, Fork fork) const { return {reader(), inode(ino), fork}; }
  [[nodiscard]] std::string symlink(InodeNumber ino) const { return read_symlink(reader(), inode(ino)); }

  /// What a path names, from the root whether it starts with "/" or not. Throws RefusalError: kNotFound, and
  /// kBadArgument for a path through something that is no directory, through too many links, or too long.
  [[nodiscard]] InodeNumber walk(std::string_view path, Follow follow) const;

 private:
  Volume(Device& device, std::unique_ptr<const Geometry> geometry) : device_(&device), geometry_(std::move(geometry)) {}

  [[nodiscard]] MetadataReader reader() const { return {*device_, *geometry_}; }

  Device* device_;
  std::unique_ptr<const Geometry> geometry_;  ///< in one place, however the volume is moved
};

}  // namespace xdax
