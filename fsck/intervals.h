// Intervals of blocks with a value, and the difference of two lists of them.
//
// A sorted list without overlaps is a step function over the blocks of a group, zero where nothing is listed. Two
// descriptions of the same thing agree when the functions are equal, however each is cut into records. Pure.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

namespace xdax::fsck {

struct Interval {
  std::uint32_t start = 0;
  std::uint32_t length = 0;
  std::uint64_t value = 0;  ///< never 0 in a list

  [[nodiscard]] std::uint64_t end() const { return std::uint64_t{start} + length; }
  bool operator==(const Interval&) const = default;
};

/// Appends, or lengthens the last interval when `next` continues it with the same value.
inline void append_merged(std::vector<Interval>& list, const Interval& next) {
  if (!list.empty() && list.back().end() == next.start && list.back().value == next.value &&
      list.back().end() + next.length - list.back().start <= 0xffffffffu) {
    list.back().length += next.length;
  } else {
    list.push_back(next);
  }
}

/// Calls `difference(start, length, left_value, right_value)` for each largest run of blocks over which both lists are
/// constant and differ. Both are sorted and free of overlaps.
template <class Function>
void compare_intervals(std::span<const Interval> left, std::span<const Interval> right, Function&& difference) {
  std::size_t i = 0;
  std::size_t j = 0;
  std::uint64_t at = 0;
  while (true) {
    // Also passes over what a list that is not as promised repeats, so that the walk always moves on.
    while (i < left.size() && left[i].end() <= at) ++i;
    while (j < right.size() && right[j].end() <= at) ++j;
    if (i == left.size() && j == right.size()) return;
    constexpr std::uint64_t kNever = ~0ull;
    const std::uint64_t left_start = i < left.size() ? std::max<std::uint64_t>(left[i].start, at) : kNever;
    const std::uint64_t right_start = j < right.size() ? std::max<std::uint64_t>(right[j].start, at) : kNever;
    at = std::min(left_start, right_start);
    const bool in_left = left_start == at;
    const bool in_right = right_start == at;
    std::uint64_t end = kNever;
    if (i < left.size()) end = std::min(end, in_left ? left[i].end() : left_start);
    if (j < right.size()) end = std::min(end, in_right ? right[j].end() : right_start);
    const std::uint64_t left_value = in_left ? left[i].value : 0;
    const std::uint64_t right_value = in_right ? right[j].value : 0;
    if (left_value != right_value) {
      difference(static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(end - at), left_value, right_value);
    }
    at = end;
  }
}

}  // namespace xdax::fsck
