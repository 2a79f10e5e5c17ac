// Makes a connected socket of an address, while its event loop goes on.
#pragma once

#include <sys/socket.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "net/rpc/event_loop.h"

namespace mark::net {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
};

// What a client connects to, in parts: "host:port", "[::1]:port" or "unix:/path" ("unix:///path" as well).
struct PeerAddress {
  std::string host;  // or the path
  std::string port;
  bool is_unix = false;
};
// Throws std::invalid_argument, saying which forms there are.
PeerAddress parse_peer_address(const std::string& address);

// Thread safety: none; belongs to its event loop. A name is looked up on a thread of its own.
//
// Invariants
//   - done is called at most once, never from within the constructor, and not after the destructor;
//   - the addresses of a name are tried one after the other, in the order of the resolver.
class Connector final : private FdWatcher {
 public:
  // A connected, non-blocking socket that is the callee's; or -1 and why, in words.
  using Done = std::function<void(int fd, const std::string& why)>;

  Connector(EventLoop& loop, PeerAddress target, Done done);
  ~Connector();
  Connector(const Connector&) = delete;
  Connector& operator=(const Connector&) = delete;

 private:
  struct Lookup;

  void on_ready(std::uint32_t epoll_events) override;
  void look_up();
  void looked_up(std::vector<SocketAddress> found, const std::string& why);
  void try_next();
  bool begin(const SocketAddress& address);
  void forsake(int error);
  void leave_socket();

  EventLoop& loop_;
  const PeerAddress target_;
  const Done done_;
  std::shared_ptr<Lookup> lookup_;
  std::vector<SocketAddress> addresses_;
  std::size_t next_ = 0;
  int fd_ = -1;
  std::optional<EventLoop::TimerId> timer_;
  std::string why_;
};

}  // namespace mark::net
