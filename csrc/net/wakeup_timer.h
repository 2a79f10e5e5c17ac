// A timer that an event loop watches as a file descriptor, exact to some microseconds. The timers of asyncio and uvloop
// count milliseconds: late by one for a batch that is due in 200 us, or spinning until it is.
#pragma once

#include "mark/types.h"

namespace mark::net {

// Thread safety: none; belongs to one event loop. Linux only (timerfd).
class WakeupTimer {
 public:
  WakeupTimer();  // throws std::system_error when the process has no file descriptor left
  ~WakeupTimer();
  WakeupTimer(const WakeupTimer&) = delete;
  WakeupTimer& operator=(const WakeupTimer&) = delete;

  // Readable once the timer has fired, until acknowledge().
  int fd() const { return fd_; }
  // Fires once after `delay`, at once when it is not positive; replaces what was set before.
  void arm(DurationNs delay);
  void disarm();
  void acknowledge();

 private:
  int fd_;
};

}  // namespace mark::net
