#include "net/rpc/listener.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string_view>
#include <system_error>

namespace mark::net {

namespace {

constexpr std::string_view kUnixScheme = "unix:";
constexpr int kPortMax = 65'535;
constexpr int kBacklog = 4096;  // the kernel cuts it to net.core.somaxconn

// A peer that vanished without a word is noticed by the kernel after about three minutes.
constexpr int kKeepAliveIdleS = 120;
constexpr int kKeepAliveIntervalS = 20;
constexpr int kKeepAliveProbes = 3;

[[noreturn]] void fail(const std::string& what) { throw std::system_error(errno, std::generic_category(), what); }

bool set(int fd, int level, int option, int value) { return setsockopt(fd, level, option, &value, sizeof value) == 0; }

// Of getaddrinfo, which has errors of its own.
class AddressInfoCategory final : public std::error_category {
 public:
  const char* name() const noexcept override { return "getaddrinfo"; }
  std::string message(int code) const override { return gai_strerror(code); }
};

std::uint64_t inode_of(const std::string& path) {
  struct stat found{};
  return stat(path.c_str(), &found) == 0 ? found.st_ino : 0;
}

sockaddr_un socket_at(const std::string& path) {
  sockaddr_un place{};
  place.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof place.sun_path) {
    throw std::invalid_argument("the path of a Unix socket has 1 to " + std::to_string(sizeof place.sun_path - 1) +
                                " bytes: " + path);
  }
  path.copy(place.sun_path, path.size());
  return place;
}

// Whether a server is behind the file. One that has ended leaves it behind.
bool somebody_answers(const sockaddr_un& place) {
  const int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (probe < 0) fail("socket");
  const int result = connect(probe, reinterpret_cast<const sockaddr*>(&place), sizeof place);
  const bool answers = result == 0 || errno == EAGAIN;  // EAGAIN: its backlog is full
  close(probe);
  return answers;
}

std::string text_of(const sockaddr_storage& place, const std::string& host) {
  const in_port_t port = place.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6&>(place).sin6_port
                                                     : reinterpret_cast<const sockaddr_in&>(place).sin_port;
  return host + ":" + std::to_string(ntohs(port));
}

}  // namespace

Listener::Listener(const std::string& address) {
  try {
    if (address.starts_with(kUnixScheme)) {
      is_unix_ = true;
      bind_unix(address.substr(kUnixScheme.size()));
    } else {
      bind_tcp(address);
    }
  } catch (...) {
    close();
    throw;
  }
}

Listener::~Listener() { close(); }

void Listener::bind_tcp(const std::string& address) {
  const std::size_t colon = address.rfind(':');
  const std::string host = address.substr(0, colon == std::string::npos ? 0 : colon);
  const std::string port_text = address.substr(colon == std::string::npos ? 0 : colon + 1);
  const bool in_brackets = host.size() > 2 && host.front() == '[' && host.back() == ']';
  int port = -1;
  const auto [end, error] = std::from_chars(port_text.data(), port_text.data() + port_text.size(), port);
  if (host.empty() || error != std::errc() || end != port_text.data() + port_text.size() || port < 0 ||
      port > kPortMax || (!in_brackets && host.find(':') != std::string::npos)) {
    throw std::invalid_argument("cannot listen at '" + address +
                                "': write host:port, [IPv6 host]:port or unix:/path, a port up to 65535");
  }
  addrinfo hints{};
  hints.ai_flags = AI_PASSIVE;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const std::string bare = in_brackets ? host.substr(1, host.size() - 2) : host;
  const int result = getaddrinfo(bare.c_str(), port_text.c_str(), &hints, &found);
  static const AddressInfoCategory category;
  if (result != 0) throw std::system_error(result == EAI_SYSTEM ? errno : result, category, address);
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> keeper(found, freeaddrinfo);
  fd_ = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd_ < 0) fail("socket");
  // Connections of a server that has ended may linger at the port.
  if (!set(fd_, SOL_SOCKET, SO_REUSEADDR, 1)) fail("setsockopt");
  if (bind(fd_, found->ai_addr, found->ai_addrlen) < 0) fail(address);
  listen();
  sockaddr_storage taken{};
  socklen_t size = sizeof taken;
  if (getsockname(fd_, reinterpret_cast<sockaddr*>(&taken), &size) < 0) fail("getsockname");
  address_ = text_of(taken, host);
}

void Listener::bind_unix(const std::string& path) {
  const sockaddr_un place = socket_at(path);
  struct stat found{};
  if (lstat(path.c_str(), &found) == 0) {
    // Only what is certainly the socket of a server that has ended is removed.
    errno = EADDRINUSE;
    if (!S_ISSOCK(found.st_mode) || somebody_answers(place)) {
      errno = EADDRINUSE;
      fail(std::string(kUnixScheme) + path);
    }
    unlink(path.c_str());
  }
  fd_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd_ < 0) fail("socket");
  if (bind(fd_, reinterpret_cast<const sockaddr*>(&place), sizeof place) < 0) fail(std::string(kUnixScheme) + path);
  path_ = path;
  inode_ = inode_of(path);
  listen();
  address_ = std::string(kUnixScheme) + path;
}

void Listener::listen() {
  if (::listen(fd_, kBacklog) < 0) fail("listen");
}

int Listener::accept() {
  const int fd = accept4(fd_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd < 0 || is_unix_) return fd;
  // Answers are written whole: to wait for more of them would only cost time. What fails here has been reset already,
  // and reading from it will say so.
  set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  set(fd, IPPROTO_TCP, TCP_KEEPIDLE, kKeepAliveIdleS);
  set(fd, IPPROTO_TCP, TCP_KEEPINTVL, kKeepAliveIntervalS);
  set(fd, IPPROTO_TCP, TCP_KEEPCNT, kKeepAliveProbes);
  return fd;
}

void Listener::close() {
  if (fd_ < 0) return;
  ::close(fd_);
  fd_ = -1;
  if (!path_.empty() && inode_of(path_) == inode_) unlink(path_.c_str());
  path_.clear();
}

}  // namespace mark::net
