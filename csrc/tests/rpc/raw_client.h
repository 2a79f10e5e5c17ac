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

namespace mark::net {

namespace frames {

constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
constexpr std::uint8_t kData = 0;
constexpr std::uint8_t kHeaders = 1;
constexpr std::uint8_t kPriority = 2;
constexpr std::uint8_t kRstStream = 3;
constexpr std::uint8_t kSettings = 4;
constexpr std::uint8_t kPing = 6;
constexpr std::uint8_t kGoAway = 7;
constexpr std::uint8_t kWindowUpdate = 8;
constexpr std::uint8_t kContinuation = 9;
constexpr std::uint8_t kEndStream = 1;
constexpr std::uint8_t kEndHeaders = 4;
constexpr std::uint8_t kPadded = 8;

inline std::string number(std::uint32_t value) {
  return {static_cast<char>(value >> 24U), static_cast<char>(value >> 16U), static_cast<char>(value >> 8U),
          static_cast<char>(value)};
}

inline std::string frame(std::uint8_t type, std::uint8_t flags, std::uint32_t stream, std::string_view payload) {
  std::string bytes = number(static_cast<std::uint32_t>(payload.size())).substr(1);
  bytes.push_back(static_cast<char>(type));
  bytes.push_back(static_cast<char>(flags));
  return bytes.append(number(stream)).append(payload);
}

// HPACK: a literal that is not indexed; both shorter than 127 bytes.
inline std::string literal(std::string_view name, std::string_view value) {
  std::string bytes(1, '\0');
  bytes.push_back(static_cast<char>(name.size()));
  bytes.append(name);
  bytes.push_back(static_cast<char>(value.size()));
  return bytes.append(value);
}

inline std::string call_block(std::string_view path = kEchoPath) {
  return literal(":method", "POST") + literal(":scheme", "http") + literal(":path", path) + literal(":authority", "x") +
         literal("te", "trailers") + literal("content-type", "application/grpc");
}

inline std::string call(std::uint32_t stream, std::string_view message) {
  return frame(kHeaders, kEndHeaders, stream, call_block()) + frame(kData, kEndStream, stream, framed(message));
}

inline std::string opening() { return std::string(kPreface) + frame(kSettings, 0, 0, ""); }

}  // namespace frames

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
