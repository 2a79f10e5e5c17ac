// The socket at which a server is found.
#pragma once

#include <cstdint>
#include <string>

namespace mark::net {

// Thread safety: none.
//
// Invariants
//   - two servers never share an address unnoticed: no SO_REUSEPORT, and a socket file at which somebody answers is
//     left alone;
//   - the file of a Unix socket is gone when its listener is, unless another server has put its own there.
class Listener {
 public:
  // Binds and listens. "host:port", where port 0 takes a free one, "[IPv6]:port", or "unix:/path". Throws
  // std::invalid_argument for what is no address, std::system_error with the errno of the failure.
  explicit Listener(const std::string& address);
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  int fd() const { return fd_; }
  const std::string& address() const { return address_; }  // with the port that was taken

  // The next connection, non-blocking and ready to use; -1 with errno when there is none or it cannot be had.
  int accept();
  void close();  // listens no more

 private:
  void bind_tcp(const std::string& address);
  void bind_unix(const std::string& path);
  void listen();

  int fd_ = -1;
  bool is_unix_ = false;
  std::string address_;
  std::string path_;  // of the socket file
  std::uint64_t inode_ = 0;
};

}  // namespace mark::net
