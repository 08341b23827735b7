// Work done by several threads, with results in the order of the work.
//
// Which thread does what is left to chance; what comes out is not: each task fills its own list of findings, and the
// lists are joined in order.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>
#include <thread>
#include <vector>

#include "fsck/finding.h"

namespace xdax::fsck {

/// Calls `work(task, worker)` for every task below `count`, on up to `threads` threads; `worker` tells them apart. The
/// first exception stops the tasks not begun and is thrown when all threads have ended.
template <class Work>
void run_tasks(unsigned threads, std::uint64_t count, Work&& work) {
  std::atomic<std::uint64_t> next = 0;
  std::vector<std::exception_ptr> failures(std::max<std::uint64_t>(1, std::min<std::uint64_t>(threads, count)));
  const auto loop = [&](std::size_t worker) {
    try {
      for (std::uint64_t task = next++; task < count; task = next++) work(task, worker);
    } catch (...) {
      failures[worker] = std::current_exception();
      next = count;
    }
  };
  {
    std::vector<std::jthread> others;
    for (std::size_t worker = 1; worker < failures.size(); ++worker) others.emplace_back(loop, worker);
    loop(0);
  }
  for (const std::exception_ptr& failure : failures) {
    if (failure) std::rethrow_exception(failure);
  }
}

/// The same with a list of findings for each task, joined into `findings` in order. Tasks are begun in waves, so that
/// few lists exist at a time.
template <class Work>
void run_tasks(unsigned threads, std::uint64_t count, std::uint64_t limit, FindingList& findings, Work&& work) {
  constexpr std::uint64_t kWaveTasks = 256;
  for (std::uint64_t first = 0; first < count; first += kWaveTasks) {
    const std::uint64_t tasks = std::min(kWaveTasks, count - first);
    std::vector<FindingList> lists(static_cast<std::size_t>(tasks), FindingList(limit));
    run_tasks(threads, tasks, [&](std::uint64_t task, std::size_t worker) {
      work(first + task, worker, lists[static_cast<std::size_t>(task)]);
    });
    for (FindingList& list : lists) findings.join(std::move(list));
  }
}

}  // namespace xdax::fsck
