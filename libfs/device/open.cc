// Opening a path as a device: what it is, whether we may have it, and which implementation carries it.
//
// Order matters. The path is examined before it is opened (opening a pipe blocks, opening a terminal has effects),
// opened only in the mode asked for (a descriptor opened for writing makes udev probe the device when it is closed),
// claimed, and only then grown. What was examined and what was opened are compared, so a path swapped in between is
// refused.

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <limits>

#include "libfs/device/checks.h"
#include "libfs/device/dax_device.h"
#include "libfs/device/device.h"
#include "libfs/device/exclusive.h"
#include "libfs/device/host_file.h"
#include "libfs/device/uring_device.h"

namespace xdax {
namespace {

[[noreturn]] void refuse(Errc code, const std::string& path, const std::string& why) {
  throw RefusalError(code, fmt::format("{}: {}", path, why));
}

/// A path that was opened. A file that was created for it goes away again unless it is kept.
class Opened {
 public:
  Opened(FileDescriptor descriptor, std::string created_path)
      : descriptor_(std::move(descriptor)), created_path_(std::move(created_path)) {}
  ~Opened() {
    if (created()) ::unlink(created_path_.c_str());
  }
  Opened(const Opened&) = delete;
  Opened& operator=(const Opened&) = delete;

  [[nodiscard]] int descriptor() const { return descriptor_.get(); }
  [[nodiscard]] FileDescriptor take_descriptor() { return std::move(descriptor_); }
  [[nodiscard]] bool created() const { return !created_path_.empty(); }
  void keep() { created_path_.clear(); }

 private:
  FileDescriptor descriptor_;
  std::string created_path_;
};

void refuse_contradictions(const std::string& path, const OpenOptions& options) {
  if (options.mode == OpenMode::kRead && options.create_size_bytes > 0) {
    refuse(Errc::kBadArgument, path, "cannot be created or grown while it is opened for reading only");
  }
  if (options.mode == OpenMode::kReadWrite && !options.exclusive) {
    refuse(Errc::kBadArgument, path, "cannot be opened for writing without exclusive use");
  }
  if (options.create_size_bytes > static_cast<std::uint64_t>(std::numeric_limits<off_t>::max())) {
    refuse(Errc::kBadArgument, path, fmt::format("a file cannot have {} bytes", options.create_size_bytes));
  }
}

/// What the choice of input and output cannot carry, before anything is opened.
void refuse_unsuitable_choice(const std::string& path, HostKind kind, IoChoice io) {
  if (kind == HostKind::kBlockDevice && io == IoChoice::kDax) {
    refuse(Errc::kNotSupported, path,
           "is a block device, which libpmem does not map; use --io=uring, or a device-DAX device or a file on a "
           "filesystem mounted DAX");
  }
  if (kind == HostKind::kDaxDevice && io == IoChoice::kUring) {
    refuse(Errc::kNotSupported, path, "is a device-DAX device, which can only be mapped; use --io=dax");
  }
}

Opened open_new(const std::string& path) {
  FileDescriptor descriptor(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY, 0666));
  if (!descriptor) refuse(Errc::kOpenFailed, path, "cannot be created: " + errno_text(errno));
  return {std::move(descriptor), path};
}

Opened open_existing(const std::string& path, const struct stat& status, const OpenOptions& options) {
  if (options.exclusive) {
    if (const auto holder = find_holder(status, SystemTables{})) {
      refuse(Errc::kInUse, path, *holder + "; unmount or detach it first");
    }
  }
  int flags = O_CLOEXEC | O_NOCTTY | (options.mode == OpenMode::kRead ? O_RDONLY : O_RDWR);
  // Without O_CREAT this asks the kernel for a claim that mounts and other exclusive users contradict.
  if (S_ISBLK(status.st_mode) && options.exclusive) flags |= O_EXCL;
  FileDescriptor descriptor(::open(path.c_str(), flags));
  const int error_number = errno;
  if (descriptor) {
    struct stat now{};
    if (::fstat(descriptor.get(), &now) != 0) refuse(Errc::kOpenFailed, path, errno_text(errno));
    const bool same = status.st_dev == now.st_dev && status.st_ino == now.st_ino && status.st_rdev == now.st_rdev;
    if (!same) refuse(Errc::kOpenFailed, path, "was replaced while it was being opened; try again");
    return {std::move(descriptor), {}};
  }
  if (error_number == EBUSY) {
    refuse(Errc::kInUse, path, "is in use by the system or another process; free it first");
  }
  const char* purpose = options.mode == OpenMode::kRead ? "for reading" : "for writing";
  refuse(Errc::kOpenFailed, path, fmt::format("cannot be opened {}: {}", purpose, errno_text(error_number)));
}

/// Makes the name of a new file durable: persist() covers what is in the file, not the entry that leads to it.
void persist_entry(const std::string& path) {
  std::filesystem::path folder = std::filesystem::path(path).parent_path();
  if (folder.empty()) folder = ".";
  const FileDescriptor descriptor(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (descriptor) static_cast<void>(::fsync(descriptor.get()));  // a host that cannot has told all it can
}

void grow(int descriptor, const std::string& path, std::uint64_t size_bytes) {
  struct stat status{};
  const bool failed =
      ::fstat(descriptor, &status) != 0 || (static_cast<std::uint64_t>(status.st_size) < size_bytes &&
                                            ::ftruncate(descriptor, static_cast<off_t>(size_bytes)) != 0);
  if (failed)
    refuse(Errc::kOpenFailed, path, fmt::format("cannot be grown to {} bytes: {}", size_bytes, errno_text(errno)));
}

Opened open_path(const std::string& path, const OpenOptions& options) {
  struct stat before{};
  const bool missing = ::stat(path.c_str(), &before) != 0;
  if (missing && (errno != ENOENT || options.create_size_bytes == 0)) {
    refuse(Errc::kOpenFailed, path, "cannot be opened: " + errno_text(errno));
  }
  if (missing) return open_new(path);
  const std::optional<HostKind> kind = host_kind(before);
  if (!kind) refuse(Errc::kNotSupported, path, why_not_a_carrier(before));
  refuse_unsuitable_choice(path, *kind, options.io);
  return open_existing(path, before, options);
}

std::unique_ptr<Device> make_device(HostFile file, IoChoice io) {
  if (file.kind == HostKind::kDaxDevice || io == IoChoice::kDax) return std::make_unique<DaxDevice>(std::move(file));
  if (io == IoChoice::kAuto && file.on_dax_filesystem && file.size_bytes > 0) {
    try {
      return std::make_unique<DaxDevice>(std::move(file));
    } catch (const RefusalError&) {
      // Nobody asked for a mapping, and a sparse image can be larger than the address space: the file is still ours.
      return std::make_unique<UringDevice>(std::move(file), UringOptions{});
    }
  }
  return std::make_unique<UringDevice>(std::move(file), UringOptions{});
}

}  // namespace

std::unique_ptr<Device> open_device(const std::string& path, const OpenOptions& options) {
  refuse_contradictions(path, options);
  Opened opened = open_path(path, options);
  struct stat status{};
  if (::fstat(opened.descriptor(), &status) != 0) refuse(Errc::kOpenFailed, path, errno_text(errno));
  if (options.exclusive) lock_for_use(opened.descriptor(), path, options.mode, S_ISBLK(status.st_mode));
  if (options.create_size_bytes > 0 && S_ISREG(status.st_mode)) {
    grow(opened.descriptor(), path, options.create_size_bytes);
  }
  std::unique_ptr<Device> device =
      make_device(describe_host_file(opened.take_descriptor(), path, options.mode), options.io);
  if (opened.created()) persist_entry(path);
  opened.keep();
  return device;
}

}  // namespace xdax
