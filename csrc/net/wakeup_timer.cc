#include "net/wakeup_timer.h"

#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <system_error>

namespace mark::net {

namespace {

constexpr DurationNs::rep kNsPerSecond = 1'000'000'000;

void check(int result, const char* what) {
  if (result < 0) throw std::system_error(errno, std::generic_category(), what);
}

}  // namespace

WakeupTimer::WakeupTimer() : fd_(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)) {
  check(fd_, "timerfd_create");
}

WakeupTimer::~WakeupTimer() { close(fd_); }

void WakeupTimer::arm(DurationNs delay) {
  // Zero would disarm it.
  const DurationNs::rep ns = std::max<DurationNs::rep>(delay.count(), 1);
  itimerspec spec{};
  spec.it_value.tv_sec = static_cast<time_t>(ns / kNsPerSecond);
  spec.it_value.tv_nsec = static_cast<long>(ns % kNsPerSecond);
  check(timerfd_settime(fd_, 0, &spec, nullptr), "timerfd_settime");
}

void WakeupTimer::disarm() {
  const itimerspec spec{};
  check(timerfd_settime(fd_, 0, &spec, nullptr), "timerfd_settime");
}

void WakeupTimer::acknowledge() {
  std::uint64_t expirations = 0;
  // Nothing to read means that it was set anew since it fired.
  if (read(fd_, &expirations, sizeof expirations) < 0 && errno != EAGAIN) {
    throw std::system_error(errno, std::generic_category(), "read of a timerfd");
  }
}

}  // namespace mark::net
