// The least keys of a set too large to keep: for comparing two sets in windows, each read again for every window.
//
// Keys that repeat are counted, so that no number of equal ones costs memory.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace xdax::fsck {

class LeastKeys {
 public:
  struct Counted {
    std::uint64_t key = 0;
    std::uint64_t count = 0;
  };

  /// What `limit` different keys take at most.
  [[nodiscard]] static constexpr std::uint64_t bytes(std::uint64_t limit) { return 2 * limit * sizeof(Counted); }

  /// Of the keys in [from, until] that are added, keeps the `limit` least; `limit` is not 0.
  LeastKeys(std::uint64_t from, std::uint64_t until, std::size_t limit) : from_(from), until_(until), limit_(limit) {}

  void add(std::uint64_t key) {
    if (key < from_ || key > until_) return;
    keys_.push_back({.key = key, .count = 1});
    if (keys_.size() >= 2 * limit_) settle();
  }
  /// The keys of [from, until()], all of them, in order.
  const std::vector<Counted>& settle() {
    std::sort(keys_.begin(), keys_.end(), [](const Counted& l, const Counted& r) { return l.key < r.key; });
    std::size_t kept = 0;
    for (std::size_t i = 0; i < keys_.size(); ++i) {
      if (kept > 0 && keys_[kept - 1].key == keys_[i].key) {
        keys_[kept - 1].count += keys_[i].count;
      } else {
        keys_[kept++] = keys_[i];
      }
    }
    if (kept > limit_) {
      until_ = keys_[limit_].key - 1;
      kept = limit_;
    }
    keys_.resize(kept);
    return keys_;
  }
  /// Meaningful after settle().
  [[nodiscard]] std::uint64_t until() const { return until_; }

 private:
  std::uint64_t from_;
  std::uint64_t until_;
  std::size_t limit_;
  std::vector<Counted> keys_;
};

/// Calls `left_only(key, times)` and `right_only(key, times)` for what one list has more often than the other.
template <class LeftOnly, class RightOnly>
void compare_counts(const std::vector<LeastKeys::Counted>& left, const std::vector<LeastKeys::Counted>& right,
                    std::uint64_t until, LeftOnly&& left_only, RightOnly&& right_only) {
  std::size_t i = 0;
  std::size_t j = 0;
  const auto has = [until](const std::vector<LeastKeys::Counted>& list, std::size_t at) {
    return at < list.size() && list[at].key <= until;
  };
  while (has(left, i) || has(right, j)) {
    const bool in_left = has(left, i) && (!has(right, j) || left[i].key <= right[j].key);
    const bool in_right = has(right, j) && (!has(left, i) || right[j].key <= left[i].key);
    const std::uint64_t left_count = in_left ? left[i].count : 0;
    const std::uint64_t right_count = in_right ? right[j].count : 0;
    const std::uint64_t key = in_left ? left[i].key : right[j].key;
    if (left_count > right_count) left_only(key, left_count - right_count);
    if (right_count > left_count) right_only(key, right_count - left_count);
    if (in_left) ++i;
    if (in_right) ++j;
  }
}

}  // namespace xdax::fsck
