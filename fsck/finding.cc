#include "fsck/finding.h"

#include <numeric>
#include <utility>

namespace xdax::fsck {

void FindingList::add(Finding finding) {
  std::uint64_t& count = counts_[index_of(finding.problem)];
  if (count++ < limit_) findings_.push_back(std::move(finding));
}

void FindingList::join(FindingList&& other) {
  std::array<std::uint64_t, kProblemCount> room{};
  for (std::size_t i = 0; i < kProblemCount; ++i) {
    room[i] = counts_[i] < limit_ ? limit_ - counts_[i] : 0;
    counts_[i] += other.counts_[i];
  }
  for (Finding& finding : other.findings_) {
    std::uint64_t& left = room[index_of(finding.problem)];
    if (left == 0) continue;
    --left;
    findings_.push_back(std::move(finding));
  }
  other.findings_.clear();
  other.counts_.fill(0);
}

std::uint64_t FindingList::total() const { return std::accumulate(counts_.begin(), counts_.end(), std::uint64_t{0}); }

std::uint64_t FindingList::problems() const {
  std::uint64_t sum = 0;
  for (const ProblemRow& row : kProblems) {
    if (row.severity != Severity::kInfo) sum += counts_[index_of(row.problem)];
  }
  return sum;
}

bool FindingList::has_problems() const { return problems() != 0; }

}  // namespace xdax::fsck
