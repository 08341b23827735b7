// A mutex whose guarded members clang can check (-Wthread-safety, on in the fuzz preset).
#pragma once

#include <mutex>

#if defined(__clang__)
#define XDAX_THREAD_ANNOTATION(x) __attribute__((x))
#else
#define XDAX_THREAD_ANNOTATION(x)
#endif

#define XDAX_CAPABILITY(x) XDAX_THREAD_ANNOTATION(capability(x))
#define XDAX_SCOPED_CAPABILITY XDAX_THREAD_ANNOTATION(scoped_lockable)
#define XDAX_GUARDED_BY(x) XDAX_THREAD_ANNOTATION(guarded_by(x))
#define XDAX_REQUIRES(...) XDAX_THREAD_ANNOTATION(requires_capability(__VA_ARGS__))
#define XDAX_ACQUIRE(...) XDAX_THREAD_ANNOTATION(acquire_capability(__VA_ARGS__))
#define XDAX_RELEASE(...) XDAX_THREAD_ANNOTATION(release_capability(__VA_ARGS__))
#define XDAX_EXCLUDES(...) XDAX_THREAD_ANNOTATION(locks_excluded(__VA_ARGS__))

namespace xdax {

class XDAX_CAPABILITY("mutex") Mutex {
 public:
  void lock() XDAX_ACQUIRE() { mutex_.lock(); }
  void unlock() XDAX_RELEASE() { mutex_.unlock(); }
  /// For std::condition_variable_any; the caller holds the lock.
  std::mutex& native() { return mutex_; }

 private:
  std::mutex mutex_;
};

class XDAX_SCOPED_CAPABILITY MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) XDAX_ACQUIRE(mutex) : mutex_(mutex) { mutex_.lock(); }
  ~MutexLock() XDAX_RELEASE() { mutex_.unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

}  // namespace xdax
