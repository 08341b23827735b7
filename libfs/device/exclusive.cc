// Who else holds a path. See exclusive.h.

#include "libfs/device/exclusive.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/sysmacros.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string_view>
#include <thread>
#include <vector>

#include "libfs/device/checks.h"
#include "libfs/device/host_file.h"

namespace xdax {
namespace {

namespace fs = std::filesystem;

/// The kernel writes blanks and backslashes in its tables as a backslash and three octal digits.
std::string unescape(std::string_view text) {
  std::string plain;
  const auto octal = [&](std::size_t at) { return text[at] >= '0' && text[at] <= '7'; };
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && text.size() - i >= 4 && octal(i + 1) && octal(i + 2) && octal(i + 3)) {
      plain += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
      i += 3;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

std::string first_line(const fs::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::string device_number(dev_t device) { return fmt::format("{}:{}", major(device), minor(device)); }

bool is_block_device(const std::string& path, dev_t device) {
  struct stat status{};
  return ::stat(path.c_str(), &status) == 0 && S_ISBLK(status.st_mode) && status.st_rdev == device;
}

bool is_same_object(const struct stat& left, const struct stat& right) {
  if (S_ISBLK(left.st_mode) || S_ISBLK(right.st_mode)) {
    return S_ISBLK(left.st_mode) && S_ISBLK(right.st_mode) && left.st_rdev == right.st_rdev;
  }
  return left.st_dev == right.st_dev && left.st_ino == right.st_ino;
}

/// A line is: id, parent, major:minor, root, mount point, options, optional fields, "-", type, source, super options.
/// Btrfs and others give a number of no device, so the source is compared as well.
std::optional<std::string> mounted_on(dev_t device, const SystemTables& tables) {
  std::ifstream mountinfo(tables.mountinfo);
  const std::string number = device_number(device);
  std::string line;
  while (std::getline(mountinfo, line)) {
    std::istringstream fields(line);
    std::string id, parent, line_number, root, mount_point, word, type, source;
    fields >> id >> parent >> line_number >> root >> mount_point;
    while (fields >> word && word != "-") continue;
    fields >> type >> source;
    const bool matches =
        line_number == number || (source.starts_with('/') && is_block_device(unescape(source), device));
    if (matches) return unescape(mount_point);
  }
  return std::nullopt;
}

bool is_swap(const struct stat& status, const SystemTables& tables) {
  std::ifstream swaps(tables.swaps);
  std::string line;
  while (std::getline(swaps, line)) {
    const std::string path = unescape(line.substr(0, line.find_first_of(" \t")));
    struct stat swap{};
    if (path.starts_with('/') && ::stat(path.c_str(), &swap) == 0 && is_same_object(status, swap)) return true;
  }
  return false;
}

std::optional<dev_t> parse_device_number(const std::string& text) {
  std::istringstream stream(text);
  unsigned major_number = 0, minor_number = 0;
  char colon = 0;
  if (!(stream >> major_number >> colon >> minor_number) || colon != ':') return std::nullopt;
  return makedev(major_number, minor_number);
}

std::vector<fs::path> entries(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code ignored;
  for (fs::directory_iterator i(folder, ignored), end; !ignored && i != end; i.increment(ignored))
    found.push_back(i->path());
  return found;
}

std::optional<std::string> device_use(dev_t device, const SystemTables& tables) {
  if (const auto mount_point = mounted_on(device, tables)) return "mounted on " + *mount_point;
  struct stat status{};
  status.st_mode = S_IFBLK;
  status.st_rdev = device;
  if (is_swap(status, tables)) return "used as swap";
  const fs::path folder = fs::path(tables.sysfs) / "dev/block" / device_number(device);
  const std::vector<fs::path> holders = entries(folder / "holders");
  if (!holders.empty()) return fmt::format("held by {}", holders.front().filename().string());
  return std::nullopt;
}

/// The use of a block device or, when it is a whole disk, of one of its partitions.
std::optional<std::string> device_or_partition_use(dev_t device, const SystemTables& tables) {
  if (auto use = device_use(device, tables)) return "is " + *use;
  for (const fs::path& entry : entries(fs::path(tables.sysfs) / "dev/block" / device_number(device))) {
    std::error_code ignored;
    if (!fs::exists(entry / "partition", ignored)) continue;
    const std::optional<dev_t> partition = parse_device_number(first_line(entry / "dev"));
    const auto use = partition ? device_use(*partition, tables) : std::nullopt;
    if (use) return fmt::format("has the partition {}, which is {}", entry.filename().string(), *use);
  }
  return std::nullopt;
}

/// The kernel names the file behind each loop device; it follows renames.
std::optional<std::string> loop_use(const struct stat& status, const SystemTables& tables) {
  for (const fs::path& entry : entries(fs::path(tables.sysfs) / "block")) {
    const std::string backing = first_line(entry / "loop/backing_file");
    struct stat backing_status{};
    if (backing.empty() || ::stat(backing.c_str(), &backing_status) != 0) continue;
    if (!is_same_object(status, backing_status)) continue;
    const std::optional<dev_t> loop = parse_device_number(first_line(entry / "dev"));
    const auto use = loop ? device_or_partition_use(*loop, tables) : std::nullopt;
    const std::string path = "/dev/" + entry.filename().string();
    if (use) return fmt::format("is attached to {}, which {}", path, *use);
    // A mount in another namespace is not in our tables; the kernel knows it all the same.
    const FileDescriptor probe(::open(path.c_str(), O_RDONLY | O_EXCL | O_CLOEXEC));
    if (!probe && errno == EBUSY) return fmt::format("is attached to {}, which is in use elsewhere", path);
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string> find_holder(const struct stat& status, const SystemTables& tables) {
  if (S_ISBLK(status.st_mode)) {
    if (auto use = device_or_partition_use(status.st_rdev, tables)) return use;
    return std::nullopt;
  }
  if (!S_ISREG(status.st_mode)) return std::nullopt;
  if (is_swap(status, tables)) return "is used as swap";
  return loop_use(status, tables);
}

void lock_for_use(int descriptor, const std::string& name, OpenMode mode, bool block_device) {
  using Clock = std::chrono::steady_clock;
  const auto deadline = Clock::now() + std::chrono::milliseconds(block_device ? 1000 : 0);
  const int operation = (mode == OpenMode::kRead ? LOCK_SH : LOCK_EX) | LOCK_NB;
  while (::flock(descriptor, operation) != 0) {
    if (errno == EINTR) continue;
    if (errno != EWOULDBLOCK) return;  // a host without locks: nothing can be learned from it
    if (Clock::now() >= deadline) {
      const char* what =
          mode == OpenMode::kRead ? "is being written by another process" : "is in use by another process";
      throw RefusalError(Errc::kInUse, fmt::format("{}: {}; wait until it has finished", name, what));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

}  // namespace xdax
