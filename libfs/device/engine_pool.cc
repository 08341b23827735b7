// Engines shared by threads. See engine_pool.h.

#include "libfs/device/engine_pool.h"

#include "libfs/base/assert.h"

namespace xdax {

EnginePool::EnginePool(EngineOptions options, unsigned max_engines, RingMaker make_ring)
    : options_(options), max_engines_(max_engines), make_ring_(std::move(make_ring)) {
  XDAX_ASSERT(max_engines_ >= 1 && make_ring_);
  free_.reserve(max_engines_);  // so that giving back never fails
}

EnginePool::Lease EnginePool::borrow() {
  {
    const MutexLock lock(mutex_);
    while (free_.empty() && made_ == max_engines_) {
      std::unique_lock<std::mutex> native(mutex_.native(), std::adopt_lock);
      returned_.wait(native);
      native.release();
    }
    if (!free_.empty()) {
      std::unique_ptr<IoEngine> engine = std::move(free_.back());
      free_.pop_back();
      return {*this, std::move(engine)};
    }
    ++made_;
  }
  // Made outside the lock: setting up a ring takes far longer than borrowing one.
  try {
    return {*this, make_engine()};
  } catch (...) {
    const MutexLock lock(mutex_);
    --made_;
    returned_.notify_one();
    throw;
  }
}

std::unique_ptr<IoEngine> EnginePool::make_engine() {
  if (std::unique_ptr<IoEngine> ring = make_ring_(options_)) return ring;
  return make_system_call_engine(options_);
}

bool EnginePool::has_rings() { return borrow()->is_ring(); }

void EnginePool::give_back(std::unique_ptr<IoEngine> engine) {
  const MutexLock lock(mutex_);
  free_.push_back(std::move(engine));
  returned_.notify_one();
}

}  // namespace xdax
