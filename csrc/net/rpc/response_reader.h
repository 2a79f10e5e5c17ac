// Reads the answer to one unary call out of header blocks and data.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/rpc/grpc_framing.h"
#include "net/rpc/grpc_status.h"
#include "net/rpc/http2_connection.h"

namespace mark::net {

struct CallResult {
  GrpcStatus status;
  std::string message;  // when OK
};

// Thread safety: none.
//
// Invariants
//   - once it has a result, nothing that follows on the stream changes it.
class ResponseReader {
 public:
  // The limit is the message's, sent and inflated; -1: none.
  explicit ResponseReader(std::int64_t message_bytes_max)
      : bytes_max_(message_bytes_max), message_(message_bytes_max) {}

  void on_header(std::string_view name, std::string_view value);
  void on_headers_end();
  void on_data(std::string_view bytes);
  void on_end();
  void on_reset(Http2Error error);

  bool has_result() const { return result_.has_value(); }
  CallResult take() { return result_ ? std::move(*result_) : CallResult{}; }

 private:
  void decide(StatusCode code, std::string text);
  void decide_without_status();

  std::int64_t bytes_max_;
  MessageReader message_;
  int http_status_ = 0;
  bool is_grpc_ = false;
  std::optional<int> grpc_status_;
  GrpcStatus status_;
  std::optional<CallResult> result_;
};

}  // namespace mark::net
