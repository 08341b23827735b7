// What the passes over files share: the device, what the groups told, and what is gathered on the way.
//
// Members are set up once before the passes begin; what the passes change is thread-safe as its type says.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "fsck/extent_sums.h"
#include "fsck/file_view.h"
#include "fsck/group.h"
#include "fsck/inode_table.h"
#include "libfs/base/mutex.h"
#include "libfs/device/device.h"
#include "libfs/format/geometry.h"
#include "libfs/format/superblock.h"

namespace xdax::fsck {

/// Files whose forks, content or attributes could not be read as a whole. What others say of them cannot be judged.
/// Thread-safe.
class IncompleteFiles {
 public:
  void add(InodeNumber ino) {
    const MutexLock lock(mutex_);
    if (inodes_.size() < kMost) {
      inodes_.push_back(ino.value());
    } else {
      too_many_ = true;
    }
  }
  /// After the passes: sorts. Then contains() may be asked.
  void settle();
  [[nodiscard]] bool contains(std::uint64_t ino) const;
  [[nodiscard]] bool any() const;

 private:
  static constexpr std::size_t kMost = 1u << 20;
  mutable Mutex mutex_;
  std::vector<std::uint64_t> inodes_ XDAX_GUARDED_BY(mutex_);
  bool too_many_ XDAX_GUARDED_BY(mutex_) = false;
};

struct FileCheck {
  FileCheck(Device& device_in, const Geometry& geometry_in, const Superblock& superblock_in, std::uint64_t groups,
            std::uint64_t seed_in)
      : device(device_in),
        geometry(geometry_in),
        superblock(superblock_in),
        seed(seed_in),
        hash(seed_in),
        inodes(geometry_in, groups),
        facts(static_cast<std::size_t>(groups)),
        owned(groups),
        covered(groups),
        links(groups),
        parents(groups) {}

  Device& device;
  const Geometry& geometry;
  const Superblock& superblock;
  unsigned threads = 1;
  std::uint64_t findings_limit = FindingList::kDefaultLimit;
  /// Bytes that lists collected for a comparison may take.
  std::uint64_t memory_bytes = 256ull << 20;
  /// Everything in use is read too.
  bool media = false;
  std::optional<LogSequence> log_head;
  std::uint64_t seed;
  ExtentHash hash;
  InodeTable inodes;
  /// What the check of each group told.
  std::vector<GroupFacts> facts;
  GroupSums owned;    ///< extents of files, in the terms of the reverse map, where that is known as a whole
  GroupSums covered;  ///< elsewhere, where it is known what files must use: the same, blocks alone
  GroupSums links;    ///< entries, by the group of the inode they name
  GroupSums parents;  ///< parent pointers, by the group of the inode that has them
  IncompleteFiles incomplete_extents;
  IncompleteFiles incomplete_directories;
  IncompleteFiles incomplete_attributes;
};

}  // namespace xdax::fsck
