#include "tests/support/oracle.h"

#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string_view>

#include "tests/support/loop_device.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace xdax::test {
namespace {

bool kernel_lists_xfs() {
  std::ifstream filesystems("/proc/filesystems");
  for (std::string word; filesystems >> word;) {
    if (word == "xfs") return true;
  }
  return false;
}

}  // namespace

bool oracles_required() {
  const char* value = std::getenv("XDAX_REQUIRE_ORACLES");
  return value != nullptr && !std::string_view(value).empty() && std::string_view(value) != "0";
}

std::optional<std::string> missing_root_and_loop() {
  if (::geteuid() != 0) return "loop devices and mounts need root";
  for (const char* name : {"losetup", "mount", "umount"}) {
    if (auto missing = missing_program(name)) return missing;
  }
  try {
    const TempDir folder;
    LoopDevice device(folder.sparse_file("probe", 1u << 20));
    device.detach();
  } catch (const std::exception& error) {
    return std::string("no loop device can be attached: ") + error.what();
  }
  return std::nullopt;
}

std::optional<std::string> missing_kernel_xfs() {
  if (auto missing = missing_root_and_loop()) return missing;
  if (kernel_lists_xfs()) return std::nullopt;
  if (!find_program("modprobe").empty()) (void)run({"modprobe", "xfs"});
  return kernel_lists_xfs() ? std::nullopt : std::optional<std::string>("this kernel has no XFS");
}

std::optional<std::string> missing_xfsprogs() {
  for (const char* name : {"mkfs.xfs", "xfs_db", "xfs_repair", "xfs_io"}) {
    if (auto missing = missing_program(name)) return missing;
  }
  return std::nullopt;
}

std::optional<std::string> missing_program(const std::string& name) {
  if (!find_program(name).empty()) return std::nullopt;
  return name + " is not installed";
}

}  // namespace xdax::test
