#include "net/rpc/response_reader.h"

#include <charconv>

namespace mark::net {

namespace {

constexpr int kStatusMax = static_cast<int>(StatusCode::kUnauthenticated);
constexpr int kInformationalMax = 199;

std::optional<int> number_of(std::string_view text) {
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// gRPC's table for an answer of something that is no gRPC server, such as a proxy.
StatusCode code_of_http_status(int status) {
  switch (status) {
    case 400:
      return StatusCode::kInternal;
    case 401:
      return StatusCode::kUnauthenticated;
    case 403:
      return StatusCode::kPermissionDenied;
    case 404:
      return StatusCode::kUnimplemented;
    case 429:
    case 502:
    case 503:
    case 504:
      return StatusCode::kUnavailable;
    default:
      return StatusCode::kUnknown;
  }
}

// gRPC's table for a stream that was reset.
StatusCode code_of_reset(Http2Error error) {
  switch (error) {
    case Http2Error::kRefusedStream:
      return StatusCode::kUnavailable;
    case Http2Error::kCancel:
      return StatusCode::kCancelled;
    case Http2Error::kEnhanceYourCalm:
      return StatusCode::kResourceExhausted;
    case Http2Error::kInadequateSecurity:
      return StatusCode::kPermissionDenied;
    default:
      return StatusCode::kInternal;
  }
}

}  // namespace

void ResponseReader::decide(StatusCode code, std::string text) {
  if (result_) return;
  result_ = CallResult{.status = {.code = code, .message = std::move(text), .metadata = std::move(status_.metadata)},
                       .message = {}};
}

void ResponseReader::on_header(std::string_view name, std::string_view value) {
  if (result_) return;
  if (name == ":status") {
    http_status_ = number_of(value).value_or(0);
  } else if (name == "content-type") {
    is_grpc_ = value.starts_with("application/grpc");
  } else if (name == "grpc-encoding") {
    message_.expect(grpc_encoding_of(value));
  } else if (name == "grpc-status") {
    grpc_status_ = number_of(value).value_or(static_cast<int>(StatusCode::kUnknown));
  } else if (name == "grpc-message") {
    status_.message = percent_decoded(value);
  } else {
    status_.metadata.emplace_back(name, value);
  }
}

void ResponseReader::on_headers_end() {
  // What comes before the message is of no interest; in an answer without one, the same block is the trailers.
  if (!grpc_status_) status_.metadata.clear();
  if (http_status_ <= kInformationalMax) return;  // the final one is still to come
  if (!is_grpc_ && !grpc_status_) decide_without_status();
}

void ResponseReader::on_data(std::string_view bytes) {
  if (result_) return;
  switch (message_.append(bytes)) {
    case MessageReader::Result::kMore:
      return;
    case MessageReader::Result::kComplete:
      if (!message_.has_excess()) return;
      return decide(StatusCode::kInternal, "the answer to a unary call has more than one message");
    case MessageReader::Result::kTooLarge:
      return decide(StatusCode::kResourceExhausted, "Received message larger than max (" +
                                                        std::to_string(message_.announced_bytes()) + " vs. " +
                                                        std::to_string(bytes_max_) + ")");
    case MessageReader::Result::kInflatesTooLarge:
      return decide(StatusCode::kResourceExhausted,
                    "Received message that decompresses to larger than max (" + std::to_string(bytes_max_) + ")");
    case MessageReader::Result::kBadFlag:
    case MessageReader::Result::kCompressed:
    case MessageReader::Result::kBroken:
      return decide(StatusCode::kInternal, "the answer's message is not framed as gRPC frames it");
  }
}

void ResponseReader::on_end() {
  if (result_) return;
  if (!grpc_status_) return decide_without_status();
  const int number = *grpc_status_;
  if (number != 0) {
    const bool is_known = number > 0 && number <= kStatusMax;
    return decide(is_known ? static_cast<StatusCode>(number) : StatusCode::kUnknown, std::move(status_.message));
  }
  if (message_.result() != MessageReader::Result::kComplete) {
    return decide(StatusCode::kInternal, message_.has_begun() ? "the answer ended within its message"
                                                              : "the answer to a unary call has no message");
  }
  result_ = CallResult{.status = std::move(status_), .message = message_.take()};
}

void ResponseReader::decide_without_status() {
  constexpr int kHttpOk = 200;
  if (http_status_ == kHttpOk && is_grpc_) return decide(StatusCode::kUnknown, "the answer has no grpc-status");
  decide(code_of_http_status(http_status_), "HTTP status " + std::to_string(http_status_) + ", and no grpc-status");
}

void ResponseReader::on_reset(Http2Error error) {
  // Ended by both sides it has a result already.
  const auto number = std::to_string(static_cast<std::uint32_t>(error));
  decide(code_of_reset(error), error == Http2Error::kRefusedStream
                                   ? "the peer has not begun this call, and takes no more"
                                   : "the peer reset the stream with HTTP/2 error " + number);
}

}  // namespace mark::net
