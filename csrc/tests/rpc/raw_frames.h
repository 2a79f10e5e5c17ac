// HTTP/2 frames as bytes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "net/rpc/grpc_framing.h"

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

inline std::string framed(std::string_view message) {
  const auto prefix = message_prefix(message.size());
  return std::string(prefix.data(), prefix.size()).append(message);
}

inline std::string call_block(std::string_view path = "/test.Echo/Call") {
  return literal(":method", "POST") + literal(":scheme", "http") + literal(":path", path) + literal(":authority", "x") +
         literal("te", "trailers") + literal("content-type", "application/grpc");
}

inline std::string call(std::uint32_t stream, std::string_view message) {
  return frame(kHeaders, kEndHeaders, stream, call_block()) + frame(kData, kEndStream, stream, framed(message));
}

inline std::string opening() { return std::string(kPreface) + frame(kSettings, 0, 0, ""); }

}  // namespace frames

}  // namespace mark::net
