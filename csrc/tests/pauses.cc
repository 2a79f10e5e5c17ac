// A library to preload: pauses around the system calls by which threads and processes meet.
//
// Threads that share two cores seldom lose theirs between two lines that follow each other; on a busy machine they do,
// and then something that was awaited is there and something else that was to be there with it is not. This makes that
// frequent. It changes nothing but the time:
//
//   LD_PRELOAD=build/dev/csrc/tests/libpauses.so MARK_PAUSES_PPM=20000 build/dev/csrc/tests/mark_rpc_tests
//
// MARK_PAUSES_PPM: so many calls in a million are followed, and as many preceded, by a pause (default 0).
// MARK_PAUSE_US_MAX: none is longer than this (default 3,000).
// MARK_PAUSE_AT: always pause, for the longest, after ("close+") or before ("close-") one kind of call.
#include <dlfcn.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <string_view>

namespace {

constexpr long kNsPerUs = 1'000;
constexpr std::uint64_t kDraws = 1'024;

struct Settings {
  std::uint64_t ppm;
  std::uint64_t us_max;
  std::string_view at;
};

std::uint64_t number_of(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nothing sets it
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

const Settings& settings() {
  static const Settings read = [] {
    const char* at = std::getenv("MARK_PAUSE_AT");  // NOLINT(concurrency-mt-unsafe)
    return Settings{number_of("MARK_PAUSES_PPM", 0), number_of("MARK_PAUSE_US_MAX", 3'000), at == nullptr ? "" : at};
  }();
  return read;
}

// xorshift, with a state for each thread: a lock would order what is to be disordered.
std::uint64_t drawn() {
  thread_local std::uint64_t state = 0;
  if (state == 0) state = reinterpret_cast<std::uintptr_t>(&state) * 2654435761U | 1U;
  state ^= state << 13U;
  state ^= state >> 7U;
  state ^= state << 17U;
  return state;
}

void pause_at(std::string_view call, char side) {
  const Settings& all = settings();
  const bool always = all.at.size() == call.size() + 1 && all.at.starts_with(call) && all.at.back() == side;
  if (!always && drawn() % 1'000'000 >= all.ppm) return;
  const int error = errno;
  const std::uint64_t us = always ? all.us_max : drawn() % kDraws * all.us_max / kDraws;
  const timespec time{static_cast<std::time_t>(us / 1'000'000), static_cast<long>(us % 1'000'000) * kNsPerUs};
  clock_nanosleep(CLOCK_MONOTONIC, 0, &time, nullptr);
  errno = error;
}

template <class Function>
class Call {
 public:
  explicit Call(const char* name) : name_(name), real_(reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name))) {}

  template <class... Arguments>
  auto operator()(Arguments... arguments) const {
    pause_at(name_, '-');
    const auto result = real_(arguments...);
    pause_at(name_, '+');
    return result;
  }

 private:
  std::string_view name_;
  Function* real_;
};

}  // namespace

extern "C" {

int close(int fd) {
  static const Call<int(int)> call("close");
  return call(fd);
}

ssize_t read(int fd, void* buffer, size_t bytes) {
  static const Call<ssize_t(int, void*, size_t)> call("read");
  return call(fd, buffer, bytes);
}

ssize_t write(int fd, const void* buffer, size_t bytes) {
  static const Call<ssize_t(int, const void*, size_t)> call("write");
  return call(fd, buffer, bytes);
}

ssize_t writev(int fd, const iovec* pieces, int count) {
  static const Call<ssize_t(int, const iovec*, int)> call("writev");
  return call(fd, pieces, count);
}

ssize_t recv(int fd, void* buffer, size_t bytes, int flags) {
  static const Call<ssize_t(int, void*, size_t, int)> call("recv");
  return call(fd, buffer, bytes, flags);
}

ssize_t send(int fd, const void* buffer, size_t bytes, int flags) {
  static const Call<ssize_t(int, const void*, size_t, int)> call("send");
  return call(fd, buffer, bytes, flags);
}

ssize_t recvmsg(int fd, msghdr* message, int flags) {
  static const Call<ssize_t(int, msghdr*, int)> call("recvmsg");
  return call(fd, message, flags);
}

ssize_t sendmsg(int fd, const msghdr* message, int flags) {
  static const Call<ssize_t(int, const msghdr*, int)> call("sendmsg");
  return call(fd, message, flags);
}

int accept4(int fd, sockaddr* address, socklen_t* bytes, int flags) {
  static const Call<int(int, sockaddr*, socklen_t*, int)> call("accept4");
  return call(fd, address, bytes, flags);
}

int shutdown(int fd, int how) noexcept {
  static const Call<int(int, int)> call("shutdown");
  return call(fd, how);
}

int epoll_wait(int epoll, epoll_event* events, int count, int timeout_ms) {
  static const Call<int(int, epoll_event*, int, int)> call("epoll_wait");
  return call(epoll, events, count, timeout_ms);
}

int epoll_ctl(int epoll, int operation, int fd, epoll_event* event) noexcept {
  static const Call<int(int, int, int, epoll_event*)> call("epoll_ctl");
  return call(epoll, operation, fd, event);
}

int pthread_mutex_unlock(pthread_mutex_t* mutex) noexcept {
  static const Call<int(pthread_mutex_t*)> call("pthread_mutex_unlock");
  return call(mutex);
}

int pthread_cond_signal(pthread_cond_t* condition) noexcept {
  static const Call<int(pthread_cond_t*)> call("pthread_cond_signal");
  return call(condition);
}

int pthread_cond_broadcast(pthread_cond_t* condition) noexcept {
  static const Call<int(pthread_cond_t*)> call("pthread_cond_broadcast");
  return call(condition);
}

}  // extern "C"
