#include "net/rpc/passed_call.h"

#include <array>
#include <atomic>

#include "net/rpc/backend.h"
#include "net/rpc/grpc_framing.h"

namespace mark::net {

namespace {

std::vector<HeaderView> views_of(const OwnedHeaders& headers) {
  std::vector<HeaderView> views;
  views.reserve(headers.size());
  for (const auto& [name, value] : headers) views.push_back({name, value});
  return views;
}

}  // namespace

class PassedCall::Back final : public StreamHandler {
 public:
  explicit Back(std::shared_ptr<PassedCall> call) : call_(std::move(call)) {}
  void on_header(std::string_view name, std::string_view value) override { call_->block_.emplace_back(name, value); }
  void on_headers_end() override { call_->on_back_headers_end(); }
  void on_data(std::string_view bytes) override { call_->on_back_data(bytes); }
  void on_end() override { call_->on_back_end(); }
  void on_sent(std::size_t bytes) override { call_->on_back_sent(bytes); }
  void on_closed(Http2Error error) override { call_->on_back_closed(error); }

 private:
  std::shared_ptr<PassedCall> call_;
};

PassedCall::PassedCall(ServerLoop& server, Http2Connection& front, StreamId front_stream)
    : server_(server), front_(&front), front_stream_(front_stream) {}

PassedCall::~PassedCall() { forget_waiting(waiting_bytes_); }

void PassedCall::start(const OwnedHeaders& headers) {
  back_ = server_.backend().connection();
  if (back_ == nullptr) return fail_unavailable(server_.backend().last_error());
  back_stream_ = back_->open(views_of(headers), std::make_unique<Back>(shared_from_this()), false);
  if (back_stream_ == StreamId{-1}) {
    back_.reset();
    return fail_unavailable("it takes no more calls");
  }
  front_->hold(front_stream_);
  back_->hold(back_stream_);
}

void PassedCall::on_front_data(std::string_view bytes) {
  if (back_ == nullptr) {
    if (front_ != nullptr) front_->consume(front_stream_, bytes.size());
    return;
  }
  note_waiting(bytes.size());
  back_->send_data(back_stream_, Piece(std::string(bytes)));
}

void PassedCall::on_front_end() {
  if (back_ != nullptr) back_->end(back_stream_);
}

void PassedCall::on_front_sent(std::size_t bytes) {
  forget_waiting(bytes);
  if (back_ != nullptr) back_->consume(back_stream_, bytes);
}

void PassedCall::on_front_closed() {
  front_ = nullptr;
  if (back_ == nullptr) return;
  server_.counts().calls_cancelled.add();
  back_->reset(back_stream_, Http2Error::kCancel);
}

void PassedCall::on_back_headers_end() {
  if (std::exchange(headers_came_, true)) return;  // trailers go with the end
  // Whether anything follows is known only when this frame has been handled: a failure is one block that ends it all.
  server_.loop().defer([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->send_headers(false);
  });
}

void PassedCall::send_headers(bool ended) {
  if (front_ == nullptr || std::exchange(headers_sent_, true)) return;
  const OwnedHeaders block = std::exchange(block_, {});
  front_->send_headers(front_stream_, views_of(block), ended);
}

void PassedCall::on_back_data(std::string_view bytes) {
  send_headers(false);
  if (front_ == nullptr) return;
  note_waiting(bytes.size());
  front_->send_data(front_stream_, Piece(std::string(bytes)));
}

void PassedCall::on_back_end() {
  response_ended_ = true;
  if (!headers_sent_) return send_headers(true);
  if (front_ != nullptr) front_->end_with(front_stream_, views_of(block_));
}

void PassedCall::on_back_sent(std::size_t bytes) {
  forget_waiting(bytes);
  if (front_ != nullptr) front_->consume(front_stream_, bytes);
}

void PassedCall::on_back_closed(Http2Error error) {
  const bool is_lost = !back_->is_open();
  back_.reset();
  if (response_ended_ || front_ == nullptr) return;
  if (!is_lost && error != Http2Error::kRefusedStream) {
    front_->reset(front_stream_, error == Http2Error::kNone ? Http2Error::kInternal : error);
  } else {
    fail_unavailable(is_lost ? "it ended the connection" : "it takes no more calls");
  }
}

void PassedCall::fail_unavailable(const std::string& why) {
  const std::string message = percent_encoded("the server that answers this method is not there: " + why);
  const std::array<HeaderView, 4> headers{{{":status", "200", true},
                                           {"content-type", "application/grpc", true},
                                           {"grpc-status", "14", true},
                                           {"grpc-message", message}}};
  if (std::exchange(headers_sent_, true)) {
    front_->end_with(front_stream_, std::span(headers).subspan(2));
  } else {
    front_->send_headers(front_stream_, headers, true);
  }
}

void PassedCall::note_waiting(std::size_t bytes) {
  waiting_bytes_ += bytes;
  server_.shared().receiving_bytes.fetch_add(static_cast<std::int64_t>(bytes), std::memory_order_relaxed);
}

void PassedCall::forget_waiting(std::size_t bytes) {
  waiting_bytes_ -= bytes;
  server_.shared().receiving_bytes.fetch_sub(static_cast<std::int64_t>(bytes), std::memory_order_relaxed);
}

}  // namespace mark::net
