// Bytes to a server, as they are: for peers that no library would be.
#pragma once

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "http2_client.h"
#include "raw_frames.h"

namespace mark::net {

class RawClient {
 public:
  explicit RawClient(const std::string& address) : fd_(connect_to(address)) {}
  ~RawClient() { close(fd_); }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  // Sends as far as the server takes it, and reads meanwhile; false once the server has closed.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      pollfd ready{.fd = fd_, .events = POLLIN | POLLOUT, .revents = 0};
      if (poll(&ready, 1, kPatienceMs) <= 0) return false;
      if ((ready.revents & POLLIN) != 0 && reads && !read_some()) return false;
      if ((ready.revents & POLLOUT) == 0) continue;
      const ssize_t count = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (count < 0 && errno != EAGAIN) return false;
      if (count > 0) bytes.remove_prefix(static_cast<std::size_t>(count));
    }
    return true;
  }

  // Reads until the server closes; false when it does not.
  bool wait_for_end() {
    pollfd ready{.fd = fd_, .events = POLLIN, .revents = 0};
    while (poll(&ready, 1, kPatienceMs) > 0) {
      if (!read_some()) return true;
    }
    return false;
  }
  bool wait_for(std::string_view bytes) {
    pollfd ready{.fd = fd_, .events = POLLIN, .revents = 0};
    while (received.find(bytes) == std::string::npos) {
      if (poll(&ready, 1, kPatienceMs) <= 0 || !read_some()) return received.find(bytes) != std::string::npos;
    }
    return true;
  }

  // The error code of the GOAWAY that came, -1 when none did.
  int goodbye() const {
    for (std::size_t at = 0; at + 17 <= received.size();) {
      const auto byte = [&](std::size_t i) {
        return static_cast<unsigned>(static_cast<unsigned char>(received[at + i]));
      };
      const std::size_t length = byte(0) << 16U | byte(1) << 8U | byte(2);
      if (byte(3) == frames::kGoAway) return static_cast<int>(byte(16));
      at += 9 + length;
    }
    return -1;
  }

  std::string received;
  bool reads = true;

 private:
  static constexpr int kPatienceMs = 20'000;

  bool read_some() {
    std::array<char, 65'536> buffer;
    const ssize_t count = recv(fd_, buffer.data(), buffer.size(), 0);
    if (count <= 0) return false;
    received.append(buffer.data(), static_cast<std::size_t>(count));
    return true;
  }

  int fd_;
};

}  // namespace mark::net
