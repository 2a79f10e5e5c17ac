#include "mark/concurrent_dispatcher.h"

#include <algorithm>
#include <chrono>

namespace mark {
namespace {

// A longer wait would run past the end of the clock when it is added to it.
constexpr DurationNs kWaitMax = std::chrono::hours{24};

}  // namespace

ConcurrentDispatcher::ConcurrentDispatcher(const DispatcherParams& params) : dispatcher_(params) {}

template <class Event>
void ConcurrentDispatcher::apply(TimeNs now, Event event) {
  const MutexLock lock(mutex_);
  latest_ = std::max(latest_, now);
  const std::optional<TimeNs> before = dispatcher_.next_wakeup();
  event(dispatcher_, latest_);
  const std::optional<TimeNs> after = dispatcher_.next_wakeup();
  if (after && (!before || *after < *before)) {
    work_ = true;
    changed_.notify_all();
  }
}

Admission ConcurrentDispatcher::submit(const Request& request, TimeNs now) {
  Admission result{};
  apply(now, [&](Dispatcher& dispatcher, TimeNs at) { result = dispatcher.submit(request, at); });
  return result;
}

Decisions ConcurrentDispatcher::poll(TimeNs now) {
  const MutexLock lock(mutex_);
  latest_ = std::max(latest_, now);
  work_ = false;
  return dispatcher_.poll(latest_);
}

std::optional<TimeNs> ConcurrentDispatcher::next_wakeup() const {
  const MutexLock lock(mutex_);
  return dispatcher_.next_wakeup();
}

std::vector<RequestId> ConcurrentDispatcher::complete(BatchId batch, TimeNs now) {
  std::vector<RequestId> result{};
  apply(now, [&](Dispatcher& dispatcher, TimeNs at) { result = dispatcher.complete(batch, at); });
  return result;
}

std::vector<Drop> ConcurrentDispatcher::fail(BatchId batch, Failure failure, TimeNs now) {
  std::vector<Drop> result{};
  apply(now, [&](Dispatcher& dispatcher, TimeNs at) { result = dispatcher.fail(batch, failure, at); });
  return result;
}

bool ConcurrentDispatcher::cancel(RequestId request, TimeNs now) {
  bool result{};
  apply(now, [&](Dispatcher& dispatcher, TimeNs at) { result = dispatcher.cancel(request, at); });
  return result;
}

void ConcurrentDispatcher::worker_up(WorkerId worker, const WorkerSpec& spec, TimeNs now) {
  apply(now, [&](Dispatcher& dispatcher, TimeNs at) { dispatcher.worker_up(worker, spec, at); });
}

void ConcurrentDispatcher::worker_drain(WorkerId worker) {
  apply(TimeNs::min(), [&](Dispatcher& dispatcher, TimeNs) { dispatcher.worker_drain(worker); });
}

bool ConcurrentDispatcher::worker_busy(WorkerId worker) const {
  const MutexLock lock(mutex_);
  return dispatcher_.worker_busy(worker);
}

std::vector<Drop> ConcurrentDispatcher::worker_down(WorkerId worker, TimeNs now) {
  std::vector<Drop> result{};
  apply(now, [&](Dispatcher& dispatcher, TimeNs at) { result = dispatcher.worker_down(worker, at); });
  return result;
}

void ConcurrentDispatcher::retune(const DispatcherParams& params, TimeNs now) {
  apply(now, [&](Dispatcher& dispatcher, TimeNs at) { dispatcher.retune(params, at); });
}

void ConcurrentDispatcher::shed(double share) {
  const MutexLock lock(mutex_);
  dispatcher_.shed(share);
}

DurationNs ConcurrentDispatcher::backlog(TimeNs now) const {
  const MutexLock lock(mutex_);
  return dispatcher_.backlog(std::max(latest_, now));
}

Statistics ConcurrentDispatcher::statistics() const {
  const MutexLock lock(mutex_);
  return dispatcher_.statistics();
}

bool ConcurrentDispatcher::wait(DurationNs timeout) {
  const MutexLock lock(mutex_);
  changed_.wait_for(mutex_, std::min(timeout, kWaitMax), [this]() REQUIRES(mutex_) { return work_ || stopped_; });
  return !stopped_;
}

void ConcurrentDispatcher::stop() {
  const MutexLock lock(mutex_);
  stopped_ = true;
  changed_.notify_all();
}

}  // namespace mark
