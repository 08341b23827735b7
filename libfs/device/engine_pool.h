// Engines shared by threads: each batch borrows one and has it to itself.
//
// Engines are made on demand, up to a fixed number; a thread that finds none free waits for one to come back. When the
// kernel refuses the first ring, or a later one, the pool makes system-call engines instead and says so. Thread-safe.
#pragma once

#include <condition_variable>
#include <memory>
#include <vector>

#include "libfs/base/mutex.h"
#include "libfs/device/io_engine.h"

namespace xdax {

class EnginePool {
 public:
  /// At most `max_engines` (at least 1) engines of these options. `make_ring` returns null when it gets no ring.
  EnginePool(EngineOptions options, unsigned max_engines, RingMaker make_ring);

  /// An engine on loan; goes back when destroyed.
  class Lease {
   public:
    Lease(EnginePool& pool, std::unique_ptr<IoEngine> engine) : pool_(pool), engine_(std::move(engine)) {}
    ~Lease() { pool_.give_back(std::move(engine_)); }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    IoEngine* operator->() const { return engine_.get(); }

   private:
    EnginePool& pool_;
    std::unique_ptr<IoEngine> engine_;
  };

  /// Waits until an engine is free. Throws std::bad_alloc when there is no memory for a first one.
  [[nodiscard]] Lease borrow() XDAX_EXCLUDES(mutex_);

  /// Whether the kernel gave the pool rings; makes the first engine to find out.
  [[nodiscard]] bool has_rings() XDAX_EXCLUDES(mutex_);

 private:
  void give_back(std::unique_ptr<IoEngine> engine) XDAX_EXCLUDES(mutex_);
  [[nodiscard]] std::unique_ptr<IoEngine> make_engine();

  const EngineOptions options_;
  const unsigned max_engines_;
  const RingMaker make_ring_;
  Mutex mutex_;
  std::condition_variable returned_;
  std::vector<std::unique_ptr<IoEngine>> free_ XDAX_GUARDED_BY(mutex_);
  unsigned made_ XDAX_GUARDED_BY(mutex_) = 0;
};

}  // namespace xdax
