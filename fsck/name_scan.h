// Reads every directory: each entry against the inode it names, links counted, parents noted, names against parent
// pointers by their sums.
#pragma once

#include <functional>
#include <vector>

#include "fsck/contents.h"
#include "fsck/file_check.h"

namespace xdax::fsck {

/// Directories in the order of the table.
struct DirectoryRef {
  std::uint32_t group = 0;
  std::uint32_t index = 0;  ///< into GroupInodes::directories
};
[[nodiscard]] std::vector<DirectoryRef> all_directories(const InodeTable& inodes);

/// Reads a directory once more and walks what it holds, telling `sink`. Nothing is reported when `findings` throws it
/// away. False when the inode cannot be read any more.
bool read_directory(const FileCheck& check, InodeNumber ino, FindingSink& findings, FileView& file, IoBytes& buffer,
                    const std::function<void(FileView&, const ForkMap&)>& use);

/// The pass: fills in links, parents and sums of `check`.
void scan_names(FileCheck& check, FindingList& findings, const std::function<void()>& step);

/// How many directories a task reads: few enough that all threads end at about the same time.
[[nodiscard]] constexpr std::uint64_t directories_per_task(std::uint64_t directories) {
  return std::clamp<std::uint64_t>(directories / 64, 1, 64);
}

/// Throws findings away: for reading again what has been reported.
class NoFindings final : public FindingSink {
 public:
  void add(Finding) override {}
};

}  // namespace xdax::fsck
