// An open path of the host and what the host says about it. See host_file.h.

#include "libfs/device/host_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <linux/stat.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <utility>

#include "libfs/device/checks.h"

namespace xdax {
namespace {

std::filesystem::path character_device_folder(const struct stat& status) {
  return fmt::format("/sys/dev/char/{}:{}", major(status.st_rdev), minor(status.st_rdev));
}

bool is_device_dax(const struct stat& status) {
  std::error_code ignored;
  const auto subsystem = std::filesystem::read_symlink(character_device_folder(status) / "subsystem", ignored);
  return !ignored && subsystem.filename() == "dax";
}

[[noreturn]] void refuse(const HostFile& file, const std::string& why) {
  throw RefusalError(Errc::kOpenFailed, fmt::format("{}: {}", file.name, why));
}

/// A logical sector the rest of the library can work with.
bool usable_sector(std::uint64_t bytes) { return std::has_single_bit(bytes) && bytes >= 512 && bytes <= 65536; }

void describe_block_device(HostFile& file) {
  const int descriptor = file.descriptor.get();
  if (::ioctl(descriptor, BLKGETSIZE64, &file.size_bytes) != 0) {
    refuse(file, "cannot read the size of the block device: " + errno_text(errno));
  }
  int logical_bytes = 0;
  if (::ioctl(descriptor, BLKSSZGET, &logical_bytes) != 0 ||
      !usable_sector(static_cast<std::uint64_t>(logical_bytes))) {
    refuse(file, fmt::format("its sector size ({} bytes) is not one that XFS can use", logical_bytes));
  }
  file.traits.block_device = true;
  file.traits.sector_bytes = static_cast<std::uint32_t>(logical_bytes);
  file.memory_alignment_bytes = file.traits.sector_bytes;
  unsigned value_bytes = 0;
  file.traits.physical_sector_bytes = file.traits.sector_bytes;
  if (::ioctl(descriptor, BLKPBSZGET, &value_bytes) == 0) {
    file.traits.physical_sector_bytes = std::max(file.traits.sector_bytes, value_bytes);
  }
  if (::ioctl(descriptor, BLKIOMIN, &value_bytes) == 0) file.traits.minimum_io_bytes = value_bytes;
  if (::ioctl(descriptor, BLKIOOPT, &value_bytes) == 0) file.traits.optimal_io_bytes = value_bytes;
}

bool lives_in_memory(int descriptor) {
  struct statfs filesystem{};
  return ::fstatfs(descriptor, &filesystem) == 0 &&
         (filesystem.f_type == TMPFS_MAGIC || filesystem.f_type == RAMFS_MAGIC);
}

void describe_dax_device(HostFile& file, const struct stat& status) {
  std::ifstream size(character_device_folder(status) / "size");
  if (!(size >> file.size_bytes)) refuse(file, "cannot read the size of the device-DAX device");
}

}  // namespace

FileDescriptor::~FileDescriptor() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

FileDescriptor::FileDescriptor(FileDescriptor&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}

FileDescriptor& FileDescriptor::operator=(FileDescriptor&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

std::optional<HostKind> host_kind(const struct stat& status) {
  if (S_ISREG(status.st_mode)) return HostKind::kRegularFile;
  if (S_ISBLK(status.st_mode)) return HostKind::kBlockDevice;
  if (S_ISCHR(status.st_mode) && is_device_dax(status)) return HostKind::kDaxDevice;
  return std::nullopt;
}

std::string why_not_a_carrier(const struct stat& status) {
  const char* what = "neither a file nor a device";
  if (S_ISDIR(status.st_mode)) what = "a directory";
  if (S_ISFIFO(status.st_mode)) what = "a pipe";
  if (S_ISSOCK(status.st_mode)) what = "a socket";
  if (S_ISCHR(status.st_mode)) what = "a character device that is not device-DAX";
  return fmt::format("is {}; give a regular file, a block device or a device-DAX device", what);
}

HostFile describe_host_file(FileDescriptor descriptor, std::string name, OpenMode mode) {
  HostFile file;
  file.descriptor = std::move(descriptor);
  file.name = std::move(name);
  file.traits.read_only = mode == OpenMode::kRead;
  struct stat status{};
  if (::fstat(file.descriptor.get(), &status) != 0) refuse(file, "cannot be examined: " + errno_text(errno));
  const std::optional<HostKind> kind = host_kind(status);
  if (!kind) throw RefusalError(Errc::kNotSupported, fmt::format("{}: {}", file.name, why_not_a_carrier(status)));
  file.kind = *kind;
  if (file.kind == HostKind::kBlockDevice) describe_block_device(file);
  if (file.kind == HostKind::kDaxDevice) describe_dax_device(file, status);
  if (file.kind == HostKind::kRegularFile) {
    file.size_bytes = static_cast<std::uint64_t>(status.st_size);
    file.in_memory = lives_in_memory(file.descriptor.get());
  }

  struct statx extended{};
  if (::statx(file.descriptor.get(), "", AT_EMPTY_PATH, STATX_DIOALIGN, &extended) == 0) {
    file.on_dax_filesystem = file.kind == HostKind::kRegularFile && (extended.stx_attributes & STATX_ATTR_DAX) != 0;
    const bool told = (extended.stx_mask & STATX_DIOALIGN) != 0 && std::has_single_bit(extended.stx_dio_mem_align);
    if (told) file.memory_alignment_bytes = extended.stx_dio_mem_align;
  }
  return file;
}

}  // namespace xdax
