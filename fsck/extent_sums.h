// Who uses which blocks, as numbers that can be compared: one pair of sums for each group.
//
// An extent [start, end) of an owner adds h(start) and takes away h(end), where h mixes the block with everything that
// all blocks of the extent have in common: the owner, the fork, the distance between block and file block. What two
// descriptions of the same blocks cut differently cancels out, so that equal sums mean equal descriptions whatever
// their records look like and in whatever order they come. A second sum leaves the owner out and so counts how often
// each block is used. 128 bits with a seed drawn for each run: no image can be made to fool it, and chance does not.
//
// This is what lets the check compare the forks of all files with the reverse map, or with free space and reference
// counts, in memory that does not grow with the number of extents. Only where sums differ are extents collected and
// compared one by one (fsck/extent_compare.h). Adding is thread-safe.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "libfs/base/units.h"

namespace xdax::fsck {

/// 128 bits that are added and subtracted half by half.
struct Sum128 {
  std::uint64_t low = 0;
  std::uint64_t high = 0;

  Sum128& operator+=(const Sum128& other) {
    low += other.low;
    high += other.high;
    return *this;
  }
  Sum128& operator-=(const Sum128& other) {
    low -= other.low;
    high -= other.high;
    return *this;
  }
  [[nodiscard]] Sum128 times(std::uint64_t factor) const { return {low * factor, high * factor}; }
  bool operator==(const Sum128&) const = default;
};

/// Blocks of one group and who uses them, in the terms of the reverse map: `offset` is the file block of the first one,
/// with the flags of rmap:: (attribute fork, block of an extent map, unwritten).
struct OwnedExtent {
  std::uint32_t start = 0;
  std::uint32_t length = 0;
  std::uint64_t owner = 0;
  std::uint64_t offset = 0;

  bool operator==(const OwnedExtent&) const = default;
};

/// Hashes with a seed of their own. Thread-safe.
class ExtentHash {
 public:
  explicit ExtentHash(std::uint64_t seed) : seed_(seed) {}
  /// Of an extent and its owner.
  [[nodiscard]] Sum128 owned(const OwnedExtent& extent) const;
  /// Of the blocks alone.
  [[nodiscard]] Sum128 covered(std::uint32_t start, std::uint64_t length) const;
  /// Of one link of a file: what an entry and a parent pointer both say.
  [[nodiscard]] Sum128 link(std::uint64_t child, std::uint64_t parent, std::uint32_t generation, const char* name,
                            std::size_t name_bytes) const;

 private:
  std::uint64_t seed_;
};

/// Sums for every group, added to by all threads.
class GroupSums {
 public:
  explicit GroupSums(std::uint64_t groups)
      : groups_(groups), sums_(std::make_unique<Pair[]>(static_cast<std::size_t>(groups))) {}

  [[nodiscard]] std::uint64_t groups() const { return groups_; }
  void add(std::uint64_t group, const Sum128& sum, std::uint64_t count = 1) {
    Pair& pair = sums_[static_cast<std::size_t>(group)];
    pair.low.fetch_add(sum.low, std::memory_order_relaxed);
    pair.high.fetch_add(sum.high, std::memory_order_relaxed);
    pair.count.fetch_add(count, std::memory_order_relaxed);
  }
  [[nodiscard]] Sum128 sum(std::uint64_t group) const {
    const Pair& pair = sums_[static_cast<std::size_t>(group)];
    return {pair.low.load(std::memory_order_relaxed), pair.high.load(std::memory_order_relaxed)};
  }
  /// How much was added.
  [[nodiscard]] std::uint64_t count(std::uint64_t group) const {
    return sums_[static_cast<std::size_t>(group)].count.load(std::memory_order_relaxed);
  }

 private:
  struct Pair {
    std::atomic<std::uint64_t> low = 0;
    std::atomic<std::uint64_t> high = 0;
    std::atomic<std::uint64_t> count = 0;
  };
  std::uint64_t groups_;
  std::unique_ptr<Pair[]> sums_;
};

/// Gathers what goes to one group before it is added, so that threads seldom meet. Not thread-safe; one for each
/// worker.
class SumGatherer {
 public:
  explicit SumGatherer(GroupSums& sums) : sums_(sums) {}
  ~SumGatherer() { flush(); }
  SumGatherer(const SumGatherer&) = delete;
  SumGatherer& operator=(const SumGatherer&) = delete;

  void add(std::uint64_t group, const Sum128& sum) {
    if (group != group_) flush();
    group_ = group;
    gathered_ += sum;
    ++count_;
  }
  void flush() {
    if (count_ > 0) sums_.add(group_, gathered_, count_);
    gathered_ = {};
    count_ = 0;
  }

 private:
  GroupSums& sums_;
  std::uint64_t group_ = 0;
  Sum128 gathered_;
  std::uint64_t count_ = 0;
};

}  // namespace xdax::fsck
