// One thread's event loop: file descriptors, timers, and tasks from other threads, on epoll.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "mark/mutex.h"
#include "mark/thread_annotations.h"
#include "mark/types.h"
#include "net/rpc/block_cache.h"
#include "net/wakeup_timer.h"

namespace mark::net {

// The monotonic clock, on the line of Python's time.monotonic_ns(). Only drivers read it.
TimeNs steady_now();

// Told what epoll saw of a file descriptor. It may be told of what its predecessor at the same number had: nothing may
// follow from an event but another try to read or write.
class FdWatcher {
 public:
  virtual void on_ready(std::uint32_t epoll_events) = 0;

 protected:
  ~FdWatcher() = default;
};

// Thread safety: post() and stop() may be called from any thread, all else from the loop's own thread, or while nothing
// runs it.
//
// Invariants
//   - no task that is posted waits for an event: the loop never sleeps while there is one, and who posts the first one
//     to a loop that sleeps wakes it; one that is awake is let alone;
//   - a watcher that was unwatched is not called again, not even for an event of the same turn;
//   - tasks run in the order in which they were posted; deferred ones after every event, timer and task of their turn,
//     however late in it they are deferred;
//   - a task or timer may destroy anything but the loop.
class EventLoop {
 public:
  using Task = std::function<void()>;
  using TimerId = std::pair<TimeNs, std::uint64_t>;

  EventLoop();  // throws std::system_error when the process has no file descriptor left
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  void run();                                            // until stop(); what was posted before stop() is run
  void run_until(const std::function<bool()>& reached);  // looked at after every turn; or until stop()
  void stop();                                           // for good: a later run() returns at once

  void post(Task task) EXCLUDES(mutex_);
  void defer(Task task);       // to the end of this turn: where the work of many events can be done at once
  void defer_last(Task task);  // behind all that is deferred: where what all of it wrote can be sent at once

  void watch(int fd, std::uint32_t epoll_events, FdWatcher& watcher);  // level-triggered; throws std::system_error
  void rewatch(int fd, std::uint32_t epoll_events);
  void unwatch(int fd);

  TimerId call_at(TimeNs when, Task task);
  void cancel(TimerId timer);  // of one that has fired already: nothing happens

  // When this turn began to handle events: exact enough for deadlines, and free.
  TimeNs now() const { return now_; }

  // For what comes and goes with the loop's calls.
  BlockCache& memory() { return memory_; }

 private:
  void turn();
  bool falls_asleep() EXCLUDES(mutex_);
  FdWatcher* watcher_of(int fd) const;
  void run_posted() EXCLUDES(mutex_);
  void run_timers();
  void run_deferred();
  void arm();

  BlockCache memory_;  // ends last: tasks keep what is of it
  int epoll_;
  int event_;
  WakeupTimer timer_;
  std::vector<FdWatcher*> watchers_;  // by descriptor
  std::map<TimerId, Task> timers_;
  std::uint64_t timers_made_ = 0;
  TimeNs armed_ = TimeNs::max();
  TimeNs now_;
  std::vector<Task> deferred_;
  std::vector<Task> deferred_last_;
  std::atomic<bool> stopped_ = false;
  // Set with the mutex held, and nothing posted; who posts looks at it with the mutex held.
  std::atomic<bool> sleeping_ = false;
  Mutex mutex_;
  std::vector<Task> posted_ GUARDED_BY(mutex_);
};

}  // namespace mark::net
