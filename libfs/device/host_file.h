// An open path of the host that can carry a device, and what the host says about it.
//
// A HostFile owns its descriptor and whatever lock was taken on it; closing the descriptor gives both back. The facts
// are read once, from the open descriptor and never from the path, so that a path that changes underneath cannot mix
// two objects. Thread-safe after construction: nothing changes.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <optional>
#include <string>

#include "libfs/device/device.h"

namespace xdax {

/// Owns a file descriptor; closes it. -1 owns nothing.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int descriptor) : descriptor_(descriptor) {}
  ~FileDescriptor();
  FileDescriptor(FileDescriptor&& other) noexcept;
  FileDescriptor& operator=(FileDescriptor&& other) noexcept;
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;

  [[nodiscard]] int get() const { return descriptor_; }
  explicit operator bool() const { return descriptor_ >= 0; }

 private:
  int descriptor_ = -1;
};

enum class HostKind : std::uint8_t { kRegularFile, kBlockDevice, kDaxDevice };

struct HostFile {
  FileDescriptor descriptor;
  std::string name;
  HostKind kind = HostKind::kRegularFile;
  std::uint64_t size_bytes = 0;
  /// Everything but `kind` and `persistent_memory`, which the device on top fills in.
  DeviceTraits traits;
  /// Memory alignment that direct transfers need, in bytes; a power of two.
  std::uint32_t memory_alignment_bytes = 512;
  /// A regular file on a filesystem mounted DAX.
  bool on_dax_filesystem = false;
  /// A regular file on tmpfs or ramfs: there is no medium to wait for.
  bool in_memory = false;
};

/// What kind of carrier `status` is; nullopt for what can carry no device (directories, pipes, terminals ...).
[[nodiscard]] std::optional<HostKind> host_kind(const struct stat& status);

/// Why `status` is no carrier, as an end of the sentence "PATH: ...".
[[nodiscard]] std::string why_not_a_carrier(const struct stat& status);

/// Asks the host about an open descriptor. Throws RefusalError (kNotSupported, kOpenFailed).
[[nodiscard]] HostFile describe_host_file(FileDescriptor descriptor, std::string name, OpenMode mode);

}  // namespace xdax
