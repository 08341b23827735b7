#include "mkfs/target.h"

#include <blkid/blkid.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "libfs/device/memory_device.h"

namespace xdax::mkfs {
namespace {

[[noreturn]] void refuse(Errc code, const std::string& text) { throw RefusalError(code, text); }

class ReadOnlyFile {
 public:
  explicit ReadOnlyFile(const std::string& path) : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {}
  ~ReadOnlyFile() {
    if (fd_ >= 0) ::close(fd_);
  }
  ReadOnlyFile(const ReadOnlyFile&) = delete;
  ReadOnlyFile& operator=(const ReadOnlyFile&) = delete;
  [[nodiscard]] int fd() const { return fd_; }

 private:
  int fd_;
};

struct ProbeDeleter {
  void operator()(blkid_probe probe) const { blkid_free_probe(probe); }
};
using Probe = std::unique_ptr<std::remove_pointer_t<blkid_probe>, ProbeDeleter>;

std::string value_of(blkid_probe probe, const char* name) {
  const char* value = nullptr;
  return blkid_probe_lookup_value(probe, name, &value, nullptr) == 0 && value != nullptr ? value : "";
}

std::string describe(blkid_probe probe) {
  if (const std::string table = value_of(probe, "PTTYPE"); !table.empty())
    return fmt::format("a {} partition table", table);
  const std::string type = value_of(probe, "TYPE");
  const std::string label = value_of(probe, "LABEL");
  const char* what = value_of(probe, "USAGE") == "filesystem" ? "a filesystem of type" : "a signature of type";
  return label.empty() ? fmt::format("{} {}", what, type) : fmt::format("{} {} (label \"{}\")", what, type, label);
}

}  // namespace

std::optional<std::string> find_signature(const std::string& path) {
  const ReadOnlyFile file(path);
  if (file.fd() < 0)
    refuse(Errc::kOpenFailed, fmt::format("{}: cannot be opened: {}", path, std::generic_category().message(errno)));
  struct stat status{};
  if (::fstat(file.fd(), &status) == 0 && S_ISCHR(status.st_mode)) return std::nullopt;  // libblkid knows no device-DAX
  // A fresh image is one hole, and there is nothing to search.
  if (S_ISREG(status.st_mode) && ::lseek(file.fd(), 0, SEEK_DATA) < 0 && errno == ENXIO) return std::nullopt;
  const Probe probe(blkid_new_probe());
  if (!probe || blkid_probe_set_device(probe.get(), file.fd(), 0, 0) != 0) {
    refuse(Errc::kOpenFailed,
           fmt::format("{}: cannot be searched for what it holds; give -f if nothing on it matters", path));
  }
  blkid_probe_enable_superblocks(probe.get(), 1);
  blkid_probe_set_superblocks_flags(probe.get(), BLKID_SUBLKS_TYPE | BLKID_SUBLKS_USAGE | BLKID_SUBLKS_LABEL);
  blkid_probe_enable_partitions(probe.get(), 1);
  const int found = blkid_do_safeprobe(probe.get());
  if (found == 0) return describe(probe.get());
  if (found == 1) return std::nullopt;
  // Several signatures at once, or an error: in both cases something may be there.
  return found == -2 ? "more than one signature" : "something that could not be read";
}

std::unique_ptr<Device> open_target(const std::string& path, const FormatRequest& request) {
  struct stat status{};
  const bool exists = ::stat(path.c_str(), &status) == 0;
  const bool create = request.data_bytes && (request.data_is_file || !exists);
  if (!exists && !create) {
    refuse(Errc::kOpenFailed,
           fmt::format("{}: no such device or file; give -d size=SIZE to create an image there", path));
  }
  if (exists && !request.force) {
    if (const auto signature = find_signature(path)) {
      refuse(Errc::kHoldsSignature, fmt::format("{}: holds {}; give -f to overwrite it", path, *signature));
    }
  }
  OpenOptions options{.mode = OpenMode::kReadWrite, .io = request.io};
  if (request.dry_run) {
    // Nothing may change, not even by creating the image whose geometry is asked for.
    if (create) return std::make_unique<MemoryDevice>(MemoryOptions{.size_bytes = *request.data_bytes, .name = path});
    options.mode = OpenMode::kRead;
  } else if (create) {
    options.create_size_bytes = *request.data_bytes;
  }
  return open_device(path, options);
}

}  // namespace xdax::mkfs
