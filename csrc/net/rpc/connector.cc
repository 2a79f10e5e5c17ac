#include "net/rpc/connector.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <utility>

#include "mark/mutex.h"
#include "mark/thread_annotations.h"

namespace mark::net {

namespace {

using namespace std::chrono_literals;

constexpr std::string_view kUnix = "unix:";
// An address that does not answer is left for the next one; the last has all the time that there is.
constexpr DurationNs kAttempt = 2s;
// A peer whose machine is gone is noticed by the kernel: idle for so long, then asked so often.
constexpr int kKeepIdleS = 10;
constexpr int kKeepIntervalS = 5;
constexpr int kKeepProbes = 3;

std::string words_of(int error) { return std::generic_category().message(error); }

void set_option(int fd, int level, int option, int value) {
  // Options of speed and of patience: a socket without them works as well.
  static_cast<void>(setsockopt(fd, level, option, &value, sizeof value));
}

void tune_tcp(int fd) {
  set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, kKeepIdleS);
  set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, kKeepIntervalS);
  set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, kKeepProbes);
}

SocketAddress unix_address(const std::string& path) {
  SocketAddress address;
  sockaddr_un unix_name{};
  unix_name.sun_family = AF_UNIX;
  std::memcpy(&unix_name.sun_path, path.data(), path.size());  // parse_peer_address() saw that it fits
  std::memcpy(&address.storage, &unix_name, sizeof unix_name);
  address.size = sizeof unix_name;
  return address;
}

struct Found {
  std::vector<SocketAddress> addresses;
  int error = 0;  // of getaddrinfo
  std::string why;
};

Found resolve(const PeerAddress& target, bool is_numeric) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  // Flags are an int in POSIX. NOLINTNEXTLINE(hicpp-signed-bitwise,bugprone-signed-bitwise)
  hints.ai_flags = is_numeric ? AI_NUMERICSERV | AI_NUMERICHOST : AI_NUMERICSERV;
  addrinfo* list = nullptr;
  Found found;
  found.error = getaddrinfo(target.host.c_str(), target.port.c_str(), &hints, &list);
  if (found.error != 0) {
    found.why = found.error == EAI_SYSTEM ? words_of(errno) : gai_strerror(found.error);
    return found;
  }
  for (const addrinfo* entry = list; entry != nullptr; entry = entry->ai_next) {
    SocketAddress& address = found.addresses.emplace_back();
    std::memcpy(&address.storage, entry->ai_addr, entry->ai_addrlen);
    address.size = entry->ai_addrlen;
  }
  freeaddrinfo(list);
  return found;
}

}  // namespace

PeerAddress parse_peer_address(const std::string& address) {
  const auto refuse = [&address](const char* why) {
    throw std::invalid_argument("\"" + address + "\" " + why +
                                R"(; write "host:port", "[::1]:port" or "unix:/path/of/a.socket")");
  };
  if (address.starts_with(kUnix)) {
    PeerAddress target{.host = address.substr(kUnix.size()), .port = {}, .is_unix = true};
    if (target.host.starts_with("///")) target.host.erase(0, 2);
    if (target.host.empty()) refuse("names no socket");
    if (target.host.size() >= sizeof(sockaddr_un::sun_path)) refuse("has a path that is too long for a Unix socket");
    return target;
  }
  const std::size_t colon = address.rfind(':');
  if (colon == std::string::npos || colon == 0 || colon + 1 == address.size()) refuse("is no address");
  PeerAddress target{.host = address.substr(0, colon), .port = address.substr(colon + 1), .is_unix = false};
  if (target.port.size() > 5 || target.port.find_first_not_of("0123456789") != std::string::npos ||
      std::stoi(target.port) > 65535) {
    refuse("has no port");
  }
  if (target.host.front() == '[' && target.host.back() == ']') {
    target.host = target.host.substr(1, target.host.size() - 2);
  } else if (target.host.find(':') != std::string::npos) {
    refuse("has an IPv6 address without brackets");
  }
  if (target.host.empty()) refuse("is no address");
  return target;
}

// What a thread in getaddrinfo shares with a connector that need not wait for it.
struct Connector::Lookup {
  Mutex mutex;
  EventLoop* loop GUARDED_BY(mutex) = nullptr;  // null once nobody waits
  Connector* connector = nullptr;               // of the loop's thread alone
};

Connector::Connector(EventLoop& loop, PeerAddress target, Done done)
    : loop_(loop), target_(std::move(target)), done_(std::move(done)) {
  if (target_.is_unix) {
    addresses_.push_back(unix_address(target_.host));
  } else {
    addresses_ = resolve(target_, /*is_numeric=*/true).addresses;
  }
  if (addresses_.empty()) {
    look_up();
  } else {
    timer_ = loop_.call_at(loop_.now(), [this] {
      timer_.reset();
      try_next();
    });
  }
}

Connector::~Connector() {
  if (lookup_) {
    const MutexLock lock(lookup_->mutex);
    lookup_->loop = nullptr;
    lookup_->connector = nullptr;
  }
  if (timer_) loop_.cancel(*timer_);
  leave_socket();
}

void Connector::look_up() {
  lookup_ = std::make_shared<Lookup>();
  {
    const MutexLock lock(lookup_->mutex);
    lookup_->loop = &loop_;
  }
  lookup_->connector = this;
  const auto work = [lookup = lookup_, target = target_] {
    Found found = resolve(target, /*is_numeric=*/false);
    const MutexLock lock(lookup->mutex);
    if (lookup->loop == nullptr) return;
    lookup->loop->post([lookup, found = std::move(found)]() mutable {
      if (lookup->connector != nullptr) lookup->connector->looked_up(std::move(found.addresses), found.why);
    });
  };
  try {
    std::thread(work).detach();
  } catch (const std::system_error& error) {
    timer_ = loop_.call_at(loop_.now(), [this, why = std::string(error.what())] {
      timer_.reset();
      looked_up({}, "no thread to look it up on: " + why);
    });
  }
}

void Connector::looked_up(std::vector<SocketAddress> found, const std::string& why) {
  addresses_ = std::move(found);
  if (addresses_.empty()) why_ = "cannot look up \"" + target_.host + "\": " + why;
  try_next();
}

void Connector::try_next() {
  while (next_ < addresses_.size()) {
    if (begin(addresses_[next_++])) return;
  }
  const Done done = done_;  // it may destroy this
  done(-1, std::string(why_));
}

// False when the address is out of the question already.
bool Connector::begin(const SocketAddress& address) {
  fd_ = socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd_ < 0) {
    why_ = words_of(errno);
    return false;
  }
  if (!target_.is_unix) tune_tcp(fd_);
  const auto* name = reinterpret_cast<const sockaddr*>(&address.storage);
  // Interrupted, it goes on by itself, like one that is in progress.
  if (connect(fd_, name, address.size) != 0 && errno != EINPROGRESS && errno != EINTR) {
    why_ = words_of(errno);
    leave_socket();
    return false;
  }
  try {
    loop_.watch(fd_, EPOLLOUT, *this);
  } catch (const std::system_error& error) {
    why_ = error.what();
    leave_socket();
    return false;
  }
  if (next_ < addresses_.size()) {
    timer_ = loop_.call_at(steady_now() + kAttempt, [this] {
      timer_.reset();
      forsake(ETIMEDOUT);
    });
  }
  return true;
}

void Connector::on_ready(std::uint32_t /*epoll_events*/) {
  int error = 0;
  socklen_t size = sizeof error;
  if (getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
  sockaddr_storage peer{};
  socklen_t peer_size = sizeof peer;
  // An event meant for a predecessor of the same number: it is still connecting.
  if (error == 0 && getpeername(fd_, reinterpret_cast<sockaddr*>(&peer), &peer_size) != 0) return;
  if (timer_) loop_.cancel(*timer_);
  timer_.reset();
  if (error != 0) {
    forsake(error);
    return;
  }
  loop_.unwatch(fd_);
  const int fd = std::exchange(fd_, -1);
  const Done done = done_;
  done(fd, {});
}

void Connector::forsake(int error) {
  why_ = words_of(error);
  leave_socket();
  try_next();
}

void Connector::leave_socket() {
  if (fd_ < 0) return;
  loop_.unwatch(fd_);
  close(std::exchange(fd_, -1));
}

}  // namespace mark::net
