// A mutex whose guarded members clang can check (-Wthread-safety, on in the fuzz preset).
#pragma once

#include <mutex>
#include <shared_mutex>

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
#define XDAX_REQUIRES_SHARED(...) XDAX_THREAD_ANNOTATION(requires_shared_capability(__VA_ARGS__))
#define XDAX_ACQUIRE_SHARED(...) XDAX_THREAD_ANNOTATION(acquire_shared_capability(__VA_ARGS__))
#define XDAX_RELEASE_SHARED(...) XDAX_THREAD_ANNOTATION(release_shared_capability(__VA_ARGS__))
#define XDAX_RELEASE_GENERIC(...) XDAX_THREAD_ANNOTATION(release_generic_capability(__VA_ARGS__))
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

/// Held by many readers or by one writer.
class XDAX_CAPABILITY("mutex") SharedMutex {
 public:
  void lock() XDAX_ACQUIRE() { mutex_.lock(); }
  void unlock() XDAX_RELEASE() { mutex_.unlock(); }
  void lock_shared() XDAX_ACQUIRE_SHARED() { mutex_.lock_shared(); }
  void unlock_shared() XDAX_RELEASE_SHARED() { mutex_.unlock_shared(); }

 private:
  std::shared_mutex mutex_;
};

class XDAX_SCOPED_CAPABILITY WriteLock {
 public:
  explicit WriteLock(SharedMutex& mutex) XDAX_ACQUIRE(mutex) : mutex_(mutex) { mutex_.lock(); }
  ~WriteLock() XDAX_RELEASE() { mutex_.unlock(); }
  WriteLock(const WriteLock&) = delete;
  WriteLock& operator=(const WriteLock&) = delete;

 private:
  SharedMutex& mutex_;
};

class XDAX_SCOPED_CAPABILITY ReadLock {
 public:
  explicit ReadLock(SharedMutex& mutex) XDAX_ACQUIRE_SHARED(mutex) : mutex_(mutex) { mutex_.lock_shared(); }
  ~ReadLock() XDAX_RELEASE_GENERIC() { mutex_.unlock_shared(); }
  ReadLock(const ReadLock&) = delete;
  ReadLock& operator=(const ReadLock&) = delete;

 private:
  SharedMutex& mutex_;
};

}  // namespace xdax
