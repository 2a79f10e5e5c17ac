// std::mutex and std::condition_variable with the names that clang's thread-safety analysis needs to check locking.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

#include "mark/thread_annotations.h"

namespace mark {

// For critical sections of a microsecond: to sleep and be woken takes several, so that who finds it held looks again a
// few times before.
class CAPABILITY("mutex") Mutex {
 public:
  void lock() ACQUIRE() {
    for (int looks = 0; looks < kLooks; ++looks) {
      if (mutex_.try_lock()) return;
      pause();
    }
    mutex_.lock();
  }
  void unlock() RELEASE() { mutex_.unlock(); }

 private:
  static constexpr int kLooks = 50;  // one to two microseconds

  static void pause() {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
  }

  friend class ConditionVariable;
  std::mutex mutex_;
};

class SCOPED_CAPABILITY MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) ACQUIRE(mutex) : mutex_(mutex) { mutex_.lock(); }
  ~MutexLock() RELEASE() { mutex_.unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

class ConditionVariable {
 public:
  void notify_all() { changed_.notify_all(); }

  // Releases the mutex while it waits, and holds it again when it returns; the predicate holds then.
  template <class Predicate>
  void wait(Mutex& mutex, Predicate predicate) REQUIRES(mutex) {
    std::unique_lock<std::mutex> held(mutex.mutex_, std::adopt_lock);
    changed_.wait(held, predicate);
    held.release();  // the caller's MutexLock unlocks
  }

  // Releases the mutex while it waits, and holds it again when it returns what the predicate said last.
  template <class Predicate>
  bool wait_for(Mutex& mutex, std::chrono::nanoseconds timeout, Predicate predicate) REQUIRES(mutex) {
    std::unique_lock<std::mutex> held(mutex.mutex_, std::adopt_lock);
    const bool holds = changed_.wait_for(held, timeout, predicate);
    held.release();  // the caller's MutexLock unlocks
    return holds;
  }

 private:
  std::condition_variable changed_;
};

}  // namespace mark
