// gRPC's own layer on HTTP/2: messages with a length before them, compression, timeouts, and texts in headers.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "mark/types.h"

namespace mark::net {

constexpr std::size_t kMessagePrefixBytes = 5;  // a flag, and the length in network order

std::array<char, kMessagePrefixBytes> message_prefix(std::size_t message_bytes);

enum class GrpcEncoding : std::uint8_t { kIdentity, kGzip, kDeflate, kUnknown };
GrpcEncoding grpc_encoding_of(std::string_view name);

// One message out of a body that comes in pieces.
//
// Thread safety: none.
//
// Invariants
//   - no more memory is taken than `message_bytes_max`, and not before the bytes are there: a peer that announces much
//     and sends little costs little;
//   - after the first result but kMore the reader takes nothing more, and notes that there was more.
class MessageReader {
 public:
  enum class Result : std::uint8_t {
    kMore,        // the message is not complete
    kComplete,    // it is: take()
    kTooLarge,    // announced_bytes() is beyond the limit
    kBadFlag,     // the first byte is neither 0 nor 1
    kCompressed,  // its flag says compressed, the headers do not say how
    kBroken,      // what should be gzip or zlib is none
    kInflatesTooLarge,
  };

  // The limit counts what is sent, and what it inflates to, which the second may limit more; -1: none, up to the 4 GiB
  // of a length.
  explicit MessageReader(std::int64_t message_bytes_max, std::int64_t inflated_bytes_max = -1)
      : bytes_max_(message_bytes_max), inflated_bytes_max_(inflated_bytes_max) {}

  void expect(GrpcEncoding encoding) { encoding_ = encoding; }
  Result append(std::string_view bytes);

  Result result() const { return result_; }
  bool has_excess() const { return has_excess_; }  // bytes came behind the one message that there may be
  bool has_begun() const { return prefix_count_ > 0; }
  std::size_t announced_bytes() const { return announced_; }
  std::size_t kept_bytes() const { return message_.size(); }
  std::string take() { return std::move(message_); }

 private:
  Result read_prefix();
  Result finish();

  std::int64_t bytes_max_;
  std::int64_t inflated_bytes_max_;
  GrpcEncoding encoding_ = GrpcEncoding::kIdentity;
  Result result_ = Result::kMore;
  std::array<char, kMessagePrefixBytes> prefix_{};
  std::size_t prefix_count_ = 0;
  std::size_t announced_ = 0;
  bool compressed_ = false;
  bool has_excess_ = false;
  std::string message_;
};

enum class InflateResult : std::uint8_t { kDone, kBroken, kTooLarge };
// What kGzip or kDeflate (which is zlib's format) made smaller. Stops at the limit, whatever the rest would inflate to;
// -1: none.
InflateResult inflated(std::string_view bytes, GrpcEncoding encoding, std::int64_t inflated_bytes_max,
                       std::string& result);
std::string deflated(std::string_view bytes, GrpcEncoding encoding);

// "100m", "5S", ...; nothing for what is not a timeout.
std::optional<DurationNs> parse_grpc_timeout(std::string_view text);
// Rounded up to the unit that fits into 8 digits, at least 1 ns: a deadline must not move to before it was meant.
std::string grpc_timeout_of(DurationNs timeout);

// grpc-message: UTF-8 with all but printable ASCII, and '%', percent-encoded. Decoding never fails: what is no escape
// stays as it is.
std::string percent_encoded(std::string_view text);
std::string percent_decoded(std::string_view text);

}  // namespace mark::net
