#include "net/rpc/notices.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

namespace mark::net {

namespace {

int made_event() {
  const int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (event < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
  return event;
}

}  // namespace

Notices::Notices() : event_(made_event()) {}

Notices::~Notices() { close(event_); }

void Notices::tell(Notice notice) {
  const MutexLock lock(mutex_);
  told_.push_back(std::move(notice));
  // The counter cannot overflow, so that only a closed descriptor could make this fail.
  const std::uint64_t one = 1;
  if (told_.size() == 1 && write(event_, &one, sizeof one) < 0) {
    throw std::system_error(errno, std::generic_category(), "write to an eventfd");
  }
}

std::vector<Notice> Notices::take() {
  // Before the notices are taken: one that is told meanwhile at worst wakes somebody who finds none.
  std::uint64_t wakeups = 0;
  if (read(event_, &wakeups, sizeof wakeups) < 0 && errno != EAGAIN) {
    throw std::system_error(errno, std::generic_category(), "read of an eventfd");
  }
  const MutexLock lock(mutex_);
  return std::exchange(told_, {});
}

}  // namespace mark::net
