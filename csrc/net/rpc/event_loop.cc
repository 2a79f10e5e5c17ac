#include "net/rpc/event_loop.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <system_error>

namespace mark::net {

namespace {

constexpr int kEventsPerTurn = 256;

int checked(int result, const char* what) {
  if (result < 0) throw std::system_error(errno, std::generic_category(), what);
  return result;
}

}  // namespace

TimeNs steady_now() {
  return TimeNs{std::chrono::duration_cast<DurationNs>(std::chrono::steady_clock::now().time_since_epoch())};
}

EventLoop::EventLoop()
    : epoll_(checked(epoll_create1(EPOLL_CLOEXEC), "epoll_create1")), event_(-1), now_(steady_now()) {
  try {
    event_ = checked(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd");
    for (const int fd : {event_, timer_.fd()}) {
      epoll_event event{.events = EPOLLIN, .data = {.fd = fd}};
      checked(epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
    }
  } catch (...) {
    if (event_ >= 0) close(event_);
    close(epoll_);
    throw;
  }
}

EventLoop::~EventLoop() {
  close(event_);
  close(epoll_);
}

void EventLoop::run() {
  while (!stopped_) turn();
  run_posted();
  run_deferred();
}

void EventLoop::run_until(const std::function<bool()>& reached) {
  while (!stopped_ && !reached()) turn();
}

void EventLoop::stop() {
  post([this] { stopped_ = true; });
}

void EventLoop::post(Task task) {
  bool wakes = false;
  {
    const MutexLock lock(mutex_);
    wakes = posted_.empty() && sleeping_.load(std::memory_order_relaxed);
    posted_.push_back(std::move(task));
  }
  // One wake-up for all tasks of a turn. The counter cannot overflow, so that this cannot fail.
  const std::uint64_t one = 1;
  if (wakes) checked(static_cast<int>(write(event_, &one, sizeof one)), "write to an eventfd");
}

void EventLoop::defer(Task task) { deferred_.push_back(std::move(task)); }

void EventLoop::defer_last(Task task) { deferred_last_.push_back(std::move(task)); }

void EventLoop::watch(int fd, std::uint32_t epoll_events, FdWatcher& watcher) {
  epoll_event event{.events = epoll_events, .data = {.fd = fd}};
  checked(epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
  if (watchers_.size() <= static_cast<std::size_t>(fd)) watchers_.resize(static_cast<std::size_t>(fd) + 1);
  watchers_[static_cast<std::size_t>(fd)] = &watcher;
}

FdWatcher* EventLoop::watcher_of(int fd) const {
  return static_cast<std::size_t>(fd) < watchers_.size() ? watchers_[static_cast<std::size_t>(fd)] : nullptr;
}

void EventLoop::rewatch(int fd, std::uint32_t epoll_events) {
  epoll_event event{.events = epoll_events, .data = {.fd = fd}};
  checked(epoll_ctl(epoll_, EPOLL_CTL_MOD, fd, &event), "epoll_ctl");
}

void EventLoop::unwatch(int fd) {
  if (watcher_of(fd) == nullptr) return;
  watchers_[static_cast<std::size_t>(fd)] = nullptr;
  epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr);
}

EventLoop::TimerId EventLoop::call_at(TimeNs when, Task task) {
  const TimerId id{when, ++timers_made_};
  timers_.emplace(id, std::move(task));
  return id;
}

void EventLoop::cancel(TimerId timer) { timers_.erase(timer); }

void EventLoop::turn() {
  arm();
  std::array<epoll_event, kEventsPerTurn> events{};
  // What was deferred before the first turn waits for no event.
  const int patience_ms = deferred_.empty() && deferred_last_.empty() && falls_asleep() ? -1 : 0;
  const int count = epoll_wait(epoll_, events.data(), kEventsPerTurn, patience_ms);
  // Early: what is posted from here on is found in this turn, or before the next sleep.
  sleeping_.store(false, std::memory_order_relaxed);
  if (count < 0 && errno != EINTR) checked(count, "epoll_wait");
  now_ = steady_now();
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<std::size_t>(i)];
    if (event.data.fd == event_) {
      std::uint64_t wakeups = 0;
      if (read(event_, &wakeups, sizeof wakeups) < 0 && errno != EAGAIN) checked(-1, "read of an eventfd");
    } else if (event.data.fd == timer_.fd()) {
      timer_.acknowledge();
      armed_ = TimeNs::max();
    } else if (FdWatcher* const watcher = watcher_of(event.data.fd)) {  // an earlier event may have ended it
      watcher->on_ready(event.events);
    }
  }
  run_posted();
  run_timers();
  run_deferred();
}

bool EventLoop::falls_asleep() {
  const MutexLock lock(mutex_);
  const bool sleeps = posted_.empty();
  sleeping_.store(sleeps, std::memory_order_relaxed);
  return sleeps;
}

void EventLoop::run_posted() {
  std::vector<Task> tasks;
  {
    const MutexLock lock(mutex_);
    tasks.swap(posted_);
  }
  for (const Task& task : tasks) task();
}

void EventLoop::run_timers() {
  // A timer that is set by a timer waits for the next turn, so that files are not starved.
  const std::uint64_t newest = timers_made_;
  for (auto next = timers_.begin(); next != timers_.end() && next->first.first <= now_; next = timers_.begin()) {
    if (next->first.second > newest) break;
    const auto due = timers_.extract(next);
    due.mapped()();
  }
}

void EventLoop::run_deferred() {
  // Deferred work may defer more: it belongs to the same turn.
  while (!deferred_.empty() || !deferred_last_.empty()) {
    std::vector<Task> tasks;
    tasks.swap(deferred_.empty() ? deferred_last_ : deferred_);
    for (const Task& task : tasks) task();
  }
}

void EventLoop::arm() {
  if (timers_.empty()) return;
  const TimeNs first = timers_.begin()->first.first;
  // A timer that fires too early costs one turn; setting it back each time would cost more.
  if (armed_ <= first) return;
  armed_ = first;
  timer_.arm(first - steady_now());
}

}  // namespace mark::net
