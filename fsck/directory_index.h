// The index of a directory in leaf or node form, against what its blocks of entries hold.
//
// Both are folded into sums, entry by entry, so that nothing is stored while they agree; where the sums differ, entries
// are collected and compared one by one. Not thread-safe; each directory has its own.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_set>
#include <vector>

#include "fsck/da_walk.h"
#include "fsck/extent_sums.h"
#include "fsck/file_view.h"
#include "fsck/least_keys.h"
#include "libfs/format/dir_leaf.h"

namespace xdax::fsck {

/// Where an entry lies and the hash it is found by, folded or collected.
class IndexSum {
 public:
  explicit IndexSum(std::uint64_t seed) : seed_(seed) {}
  void add(std::uint32_t hash, std::uint32_t address);
  [[nodiscard]] const Sum128& sum() const { return sum_; }
  /// How many were added.
  [[nodiscard]] std::uint64_t count() const { return count_; }
  /// Null: nothing is collected.
  LeastKeys* collect = nullptr;

 private:
  std::uint64_t seed_;
  Sum128 sum_;
  std::uint64_t count_ = 0;
};

/// Finds names that are in a directory twice: equal hashes stand side by side in the index, and only their names are
/// read.
class DuplicateNames {
 public:
  DuplicateNames(FileView& file, const ForkMap& data) : file_(file), reader_(file, data, "directory") {}
  /// Index entries in order of hash; stale ones left out.
  void add(std::uint32_t hash, std::uint32_t address);

 private:
  void name(std::uint32_t address);

  FileView& file_;
  ForkReader reader_;
  std::uint32_t hash_ = 0;
  std::uint32_t first_address_ = 0;  ///< of the only entry of this hash so far; 0 once it is in the set
  bool any_ = false;
  std::unordered_set<std::string> names_;
};

/// The largest unused region of each block of entries.
inline constexpr std::uint16_t kBestUnknown = 1;  ///< never one: regions are whole units of eight

struct DirectoryIndex {
  struct Block {
    std::uint32_t number = 0;  ///< of the directory's blocks of entries
    std::uint16_t best = kBestUnknown;
  };
  std::vector<Block> blocks;  ///< those that exist, in order: a directory may have holes of any size
  bool entries_known = true;  ///< every block of entries was read and understood
};

/// Walks the index, adding what it names to `sum`; checks it against `known`. False when it could not be followed as a
/// whole.
bool check_directory_index(FileView& file, const ForkMap& data, Identity& identity, const DirectoryIndex& known,
                           IndexSum& sum);

}  // namespace xdax::fsck
