// Findings: problems with their place, as values, and the sinks that collect them.
//
// Checkers hand findings to a FindingSink and never print. A FindingList keeps a bounded number of each problem and
// only counts the rest, so that a hostile image costs no memory. Lists are not thread-safe on purpose: each worker
// fills its own, and they are joined in the order of the groups, which makes the output the same whatever the threads
// do.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "fsck/problems.h"

namespace xdax::fsck {

struct Finding {
  Problem problem{};
  /// What holds the problem, in the field's words ("agf", "rmapbt", "superblock"). A string literal.
  const char* structure = "";
  /// The field, where there is one ("agf.flcount"). A string literal.
  const char* field = "";
  std::optional<std::uint32_t> group;
  /// Block within the group, and how many.
  std::optional<std::uint32_t> block;
  std::uint32_t length_blocks = 1;
  /// From the start of the device.
  std::optional<std::uint64_t> byte;
  std::optional<std::uint64_t> inode;
  /// Of the inode, from the root; empty where no name leads to it.
  std::string path;
  std::optional<std::uint64_t> found;
  std::optional<std::uint64_t> expected;
  /// The rule that is broken, or who else is concerned: a clause.
  std::string detail;
};

class FindingSink {
 public:
  virtual ~FindingSink() = default;
  virtual void add(Finding finding) = 0;

 protected:
  FindingSink() = default;
  FindingSink(const FindingSink&) = default;
  FindingSink& operator=(const FindingSink&) = default;
};

class FindingList final : public FindingSink {
 public:
  static constexpr std::uint64_t kDefaultLimit = 1000;

  /// Keeps at most `limit` findings of each problem.
  explicit FindingList(std::uint64_t limit = kDefaultLimit) : limit_(limit) {}

  void add(Finding finding) override;
  /// Appends what `other` kept, within this list's limit, and adds its counts.
  void join(FindingList&& other);

  [[nodiscard]] const std::vector<Finding>& findings() const { return findings_; }
  /// Lets `change` complete each one that is kept; the problem must stay.
  template <class Change>
  void for_each(Change&& change) {
    for (Finding& finding : findings_) change(finding);
  }
  /// How many there were, kept or not.
  [[nodiscard]] std::uint64_t count(Problem problem) const { return counts_[index_of(problem)]; }
  [[nodiscard]] std::uint64_t total() const;
  /// How many were counted and not kept.
  [[nodiscard]] std::uint64_t not_kept() const { return total() - findings_.size(); }
  /// Whether anything worse than information was found.
  [[nodiscard]] bool has_problems() const;
  [[nodiscard]] std::uint64_t problems() const;

 private:
  std::uint64_t limit_;
  std::vector<Finding> findings_;
  std::array<std::uint64_t, kProblemCount> counts_{};
};

}  // namespace xdax::fsck
