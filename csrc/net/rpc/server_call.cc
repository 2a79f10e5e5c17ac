#include "net/rpc/server_call.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>
#include <vector>

namespace mark::net {

namespace {

// So much is put into one piece with its prefix: moving it costs less than a piece of its own.
constexpr std::size_t kMovedMax = 4096;
constexpr std::string_view kGrpcType = "application/grpc";
constexpr std::string_view kAcceptedEncodings = "identity, deflate, gzip";

constexpr std::array<HeaderView, 3> kResponseHeaders{
    {{":status", "200", true}, {"content-type", kGrpcType, true}, {"grpc-accept-encoding", kAcceptedEncodings, true}}};
constexpr std::array<HeaderView, 1> kOkTrailers{{{"grpc-status", "0", true}}};

bool is_grpc_type(std::string_view value) {
  if (!value.starts_with(kGrpcType)) return false;
  value.remove_prefix(kGrpcType.size());
  return value.empty() || value.front() == '+' || value.front() == ';';
}

GrpcStatus deadline_passed() { return {StatusCode::kDeadlineExceeded, "Deadline Exceeded", {}}; }

GrpcStatus unknown_encoding(const std::string& name) {
  return {
      StatusCode::kUnimplemented, "grpc-encoding: '" + name + "' is not one of " + std::string(kAcceptedEncodings), {}};
}

}  // namespace

ServerCall::ServerCall(ServerConnection& connection, StreamId stream)
    : server_(connection.server()),
      http2_(connection.http2()),
      stream_(stream),
      reader_(server_.shared().params.message_bytes_max, server_.shared().params.inflated_bytes_max),
      came_(server_.loop().now()) {
  server_.add_receiving(*this);
}

ServerCall::~ServerCall() {
  forget_receiving();
  leave();
}

void ServerCall::operator delete(ServerCall* call, std::destroying_delete_t) {
  BlockCache& memory = call->server_.loop().memory();
  call->~ServerCall();
  memory.give(call, sizeof(ServerCall));
}

void ServerCall::on_header(std::string_view name, std::string_view value) {
  if (state_ != State::kHeaders) return;  // trailers of a request say nothing
  const bool may_pass = handler_ == nullptr && server_.backend().exists();
  if (name == ":path") {
    handler_ = server_.shared().handler_of(value);
    if (handler_ == nullptr) path_ = value;
  } else if (name == ":authority") {
    if (may_pass) authority_ = value;
  } else if (name == ":method") {
    is_post_ = value == "POST";
  } else if (name == "content-type") {
    is_grpc_ = is_grpc_type(value);
  } else if (name == "grpc-timeout") {
    const auto timeout = parse_grpc_timeout(value);
    is_timeout_broken_ = !timeout.has_value();
    const TimeNs now = server_.loop().now();
    if (timeout && *timeout < TimeNs::max() - now) deadline_ = now + *timeout;
  } else if (name == "grpc-encoding") {
    const GrpcEncoding encoding = grpc_encoding_of(value);
    if (encoding == GrpcEncoding::kUnknown) unknown_encoding_ = value;
    reader_.expect(encoding);
  } else if (handler_ != nullptr && name == kTraceParentHeader) {
    trace_headers().parent.append(value);
  } else if (handler_ != nullptr && name == kTraceStateHeader) {
    trace_headers().add_state(value);
  }
  if (may_pass && !name.starts_with(':')) headers_.emplace_back(name, value);
}

void ServerCall::on_headers_end() {
  if (state_ != State::kHeaders) return;
  state_ = State::kReceiving;
  server_.counts().calls.add();
  if (!is_post_) return refuse("405");
  if (!is_grpc_) return refuse("415");
  if (handler_ == nullptr && server_.backend().exists()) return pass_on();
  if (handler_ == nullptr) return fail({StatusCode::kUnimplemented, "Method not found!", {}});
  if (is_timeout_broken_) return fail({StatusCode::kInternal, "Error parsing 'grpc-timeout' metadata", {}});
  if (deadline_ && *deadline_ <= server_.loop().now()) return fail(deadline_passed());
  // At once, whether or not the message makes use of it: its flag comes when its bytes have been sent in vain.
  if (unknown_encoding_) return fail(unknown_encoding(*unknown_encoding_));
  id_ = server_.calls().add(*this);
  if (deadline_) server_.watch_deadline(*deadline_, id_);
}

void ServerCall::on_data(std::string_view bytes) {
  if (state_ == State::kPassedOn) return passed_->on_front_data(bytes);
  if (state_ != State::kReceiving) return;
  const MessageReader::Result result = reader_.append(bytes);
  if (result == MessageReader::Result::kMore) return note_receiving(bytes.size());
  forget_receiving();
  if (result != MessageReader::Result::kComplete) return refuse_message(result);
  hand_over();
}

void ServerCall::on_end() {
  if (state_ == State::kPassedOn) return passed_->on_front_end();
  if (state_ != State::kReceiving) return;
  fail(reader_.has_begun()
           ? GrpcStatus{StatusCode::kInternal, "the request ended within its message", {}}
           : GrpcStatus{StatusCode::kUnimplemented, "the request has no message, where there must be one", {}});
}

void ServerCall::on_sent(std::size_t bytes) {
  if (state_ == State::kPassedOn) passed_->on_front_sent(bytes);
}

void ServerCall::on_closed(Http2Error /*error*/) {
  forget_receiving();
  leave();
  if (state_ == State::kPassedOn) passed_->on_front_closed();
  if (state_ == State::kHandedOver) {
    server_.counts().calls_cancelled.add();
    handler_->on_cancelled(server_, id_);
  }
  state_ = State::kOver;
}

void ServerCall::hand_over() {
  if (server_.shared().draining.load(std::memory_order_relaxed)) {
    return fail({StatusCode::kUnavailable, "the server stops; send to another one", {}});
  }
  state_ = State::kHandedOver;
  handler_->on_call(
      server_,
      {.id = id_, .message = reader_.take(), .deadline = deadline_, .trace_headers = std::move(trace_headers_)});
}

TraceHeaders& ServerCall::trace_headers() {
  if (!trace_headers_) trace_headers_ = std::make_unique<TraceHeaders>();
  return *trace_headers_;
}

void ServerCall::pass_on() {
  state_ = State::kPassedOn;
  forget_receiving();
  server_.counts().calls_passed_on.add();
  OwnedHeaders headers{{":method", "POST"}, {":scheme", "http"}, {":path", std::move(path_)}};
  if (!authority_.empty()) headers.emplace_back(":authority", std::move(authority_));
  headers.insert(headers.end(), std::make_move_iterator(headers_.begin()), std::make_move_iterator(headers_.end()));
  headers_.clear();
  passed_ = std::make_shared<PassedCall>(server_, http2_, stream_);
  passed_->start(headers);
}

void ServerCall::reply(std::string message) {
  leave();
  state_ = State::kOver;
  const auto prefix = message_prefix(message.size());
  const std::string_view prefix_bytes(prefix.data(), prefix.size());
  http2_.send_headers(stream_, kResponseHeaders, false);
  if (message.size() <= kMovedMax) {
    message.insert(0, prefix_bytes);
    const BlockAllocator<std::string> memory(server_.loop().memory());
    http2_.send_data(stream_, Piece(std::allocate_shared<const std::string>(memory, std::move(message))));
  } else {
    http2_.send_data(stream_, Piece(std::string(prefix_bytes)));
    http2_.send_data(stream_, Piece(std::move(message)));
  }
  http2_.end_with(stream_, kOkTrailers);
}

void ServerCall::fail(const GrpcStatus& status) {
  leave();
  state_ = State::kOver;
  forget_receiving();
  reader_.take();
  const std::string code = std::to_string(static_cast<int>(status.code));
  const std::string message = percent_encoded(status.message);
  std::vector<HeaderView> headers(kResponseHeaders.begin(), kResponseHeaders.end());
  headers.push_back({"grpc-status", code});
  if (!message.empty()) headers.push_back({"grpc-message", message});
  for (const auto& [name, value] : status.metadata) headers.push_back({name, value});
  http2_.send_headers(stream_, headers, true);
}

void ServerCall::refuse(std::string_view http_status) {
  state_ = State::kOver;
  forget_receiving();
  const std::array<HeaderView, 2> headers{{{":status", http_status}, {"content-length", "0"}}};
  http2_.send_headers(stream_, headers, true);
}

void ServerCall::refuse_message(MessageReader::Result result) {
  using Result = MessageReader::Result;
  switch (result) {
    case Result::kTooLarge:
      server_.counts().messages_refused.add();
      return fail({StatusCode::kResourceExhausted,
                   "SERVER: Received message larger than max (" + std::to_string(reader_.announced_bytes()) + " vs. " +
                       std::to_string(server_.shared().params.message_bytes_max) + ")",
                   {}});
    case Result::kInflatesTooLarge:
      server_.counts().messages_refused.add();
      return fail({StatusCode::kResourceExhausted, "Decompressed message larger than max", {}});
    case Result::kCompressed:
      return fail({StatusCode::kInternal, "Compression bit set but no encoding configured", {}});
    case Result::kBroken:
      return fail({StatusCode::kInternal, "Decompression failed due to zlib error", {}});
    default:
      return fail({StatusCode::kInternal, "the first byte of a message is neither 0 nor 1", {}});
  }
}

void ServerCall::note_receiving(std::size_t bytes) {
  came_ = server_.loop().now();
  noted_bytes_ += bytes;
  std::atomic<std::int64_t>& all = server_.shared().receiving_bytes;
  const auto added = static_cast<std::int64_t>(bytes);
  if (all.fetch_add(added, std::memory_order_relaxed) + added <= server_.shared().params.received_bytes_max) return;
  server_.counts().messages_refused.add();
  fail({StatusCode::kResourceExhausted, "the server receives too many bytes at once; try again later", {}});
}

void ServerCall::forget_receiving() {
  if (!is_receiving_) return;
  is_receiving_ = false;
  server_.remove_receiving(*this);
  if (noted_bytes_ == 0) return;
  server_.shared().receiving_bytes.fetch_sub(static_cast<std::int64_t>(std::exchange(noted_bytes_, 0)),
                                             std::memory_order_relaxed);
}

void ServerCall::look_around(TimeNs now) {
  if (now - came_ < server_.shared().params.patience) return;
  fail({StatusCode::kDeadlineExceeded, "the request's message did not come", {}});
}

void ServerCall::expire() {
  const bool was_handed_over = state_ == State::kHandedOver;
  fail(deadline_passed());
  if (was_handed_over) handler_->on_cancelled(server_, id_);
}

// An id that has left already finds nothing.
void ServerCall::leave() { server_.calls().remove(id_); }

}  // namespace mark::net
