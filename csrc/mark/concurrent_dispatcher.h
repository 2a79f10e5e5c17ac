// The dispatcher for drivers with threads: one mutex, one condition variable, nothing else.
#pragma once

#include <optional>
#include <vector>

#include "mark/dispatcher.h"
#include "mark/mutex.h"
#include "mark/thread_annotations.h"

namespace mark {

// Thread safety: every method may be called from any thread.
//
// Invariants
//   - the members below mutex_ are touched only with it held;
//   - a wait() returns when poll() would have something to do, when stop() was called, or at its timeout: no event is
//     slept through, for every event that brings next_wakeup() forward sets work_, which stays set until poll().
class ConcurrentDispatcher {
 public:
  explicit ConcurrentDispatcher(const DispatcherParams& params);

  // As in Dispatcher. Callers on several threads may pass times that are slightly out of order: each event takes place
  // at the latest time seen so far.
  Admission submit(const Request& request, TimeNs now) EXCLUDES(mutex_);
  Decisions poll(TimeNs now) EXCLUDES(mutex_);
  std::optional<TimeNs> next_wakeup() const EXCLUDES(mutex_);
  std::vector<RequestId> complete(BatchId batch, TimeNs now) EXCLUDES(mutex_);
  std::vector<Drop> fail(BatchId batch, Failure failure, TimeNs now) EXCLUDES(mutex_);
  bool cancel(RequestId request, TimeNs now) EXCLUDES(mutex_);
  void worker_up(WorkerId worker, const WorkerSpec& spec, TimeNs now) EXCLUDES(mutex_);
  void worker_drain(WorkerId worker) EXCLUDES(mutex_);
  bool worker_busy(WorkerId worker) const EXCLUDES(mutex_);
  std::vector<Drop> worker_down(WorkerId worker, TimeNs now) EXCLUDES(mutex_);
  void retune(const DispatcherParams& params, TimeNs now) EXCLUDES(mutex_);
  void shed(double share) EXCLUDES(mutex_);
  DurationNs backlog(TimeNs now) const EXCLUDES(mutex_);
  Statistics statistics() const EXCLUDES(mutex_);

  // Blocks until an event may have given poll() work, for at most `timeout`. The caller's clock decides the timeout:
  // pass next_wakeup() - now. False once stop() was called.
  bool wait(DurationNs timeout) EXCLUDES(mutex_);
  // Wakes every waiter, now and from now on.
  void stop() EXCLUDES(mutex_);

 private:
  // Calls event(dispatcher, time), with a time no earlier than any before, and wakes the waiters if that brought the
  // next wake-up forward.
  template <class Event>
  void apply(TimeNs now, Event event) EXCLUDES(mutex_);

  mutable Mutex mutex_;
  ConditionVariable changed_;
  Dispatcher dispatcher_ GUARDED_BY(mutex_);
  TimeNs latest_ GUARDED_BY(mutex_) = TimeNs::min();
  bool work_ GUARDED_BY(mutex_) = false;
  bool stopped_ GUARDED_BY(mutex_) = false;
};

}  // namespace mark
