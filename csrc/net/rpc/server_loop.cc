#include "net/rpc/server_loop.h"

#include <algorithm>
#include <utility>

#include "net/rpc/server_call.h"
#include "net/rpc/server_connection.h"
#include "net/rpc/tls_context.h"

namespace mark::net {

namespace {

// The handler is to be first: it drops what it has not begun with, and knows better words for that.
constexpr DurationNs kDeadlineGrace{1'000'000};

}  // namespace

UnaryHandler* ServerShared::handler_of(std::string_view path) const {
  // There are one or two.
  for (const auto& [known, handler] : methods) {
    if (known == path) return handler;
  }
  return nullptr;
}

ServerLoop::ServerLoop(ServerShared& shared)
    : shared_(shared), backend_(loop_, shared.params.pass_on_to, shared.params.http2) {}

ServerLoop::~ServerLoop() = default;

void ServerLoop::reply(CallId call, std::string message) {
  if (ServerCall* const found = calls_.find(call)) found->reply(std::move(message));
}

void ServerLoop::fail(CallId call, const GrpcStatus& status) {
  if (ServerCall* const found = calls_.find(call)) found->fail(status);
}

void ServerLoop::adopt(int fd) {
  std::unique_ptr<Transport> transport = make_socket_transport(fd);
  if (shared_.params.tls) transport = shared_.params.tls->secure(std::move(transport), "");
  auto connection = std::make_unique<ServerConnection>(*this, std::move(transport));
  if (shared_.draining.load(std::memory_order_relaxed)) connection->drain();
  connections_.push_front(std::move(connection));
  connections_.front()->place = connections_.begin();
}

void ServerLoop::release(ServerConnection& connection) {
  // Kept to the end of the turn: the caller may be one of its own methods.
  const std::shared_ptr<ServerConnection> kept(std::move(*connection.place));
  connections_.erase(connection.place);
  loop_.defer([kept] {});
}

void ServerLoop::drain() {
  for (const auto& connection : connections_) connection->drain();
}

void ServerLoop::close_all() {
  for (const auto& connection : connections_) connection->close();
  connections_.clear();
  backend_.close();
}

void ServerLoop::watch_deadline(TimeNs deadline, CallId call) {
  if (deadline > TimeNs::max() - kDeadlineGrace) return;
  deadlines_.add(deadline, call);
  deadlines_.sweep(calls_.size(), [this](CallId id) { return calls_.find(id) != nullptr; });
  if (!deadline_timer_ || deadline + kDeadlineGrace < deadline_timer_->first) arm_deadline();
}

void ServerLoop::expire_calls() {
  const TimeNs now = loop_.now();
  while (!deadlines_.empty()) {
    ServerCall* const call = calls_.find(deadlines_.earliest_id());
    if (call != nullptr && deadlines_.earliest() + kDeadlineGrace > now) break;
    deadlines_.take_earliest();
    if (call != nullptr) call->expire();
  }
  arm_deadline();
}

void ServerLoop::arm_deadline() {
  if (deadline_timer_) loop_.cancel(*deadline_timer_);
  deadline_timer_.reset();
  if (deadlines_.empty()) return;
  deadline_timer_ = loop_.call_at(deadlines_.earliest() + kDeadlineGrace, [this] {
    deadline_timer_.reset();
    expire_calls();
  });
}

void ServerLoop::add_receiving(ServerCall& call) {
  call.receiving_place = receiving_.size();
  receiving_.push_back(&call);
}

void ServerLoop::remove_receiving(ServerCall& call) {
  receiving_.back()->receiving_place = call.receiving_place;
  std::swap(receiving_[call.receiving_place], receiving_.back());
  receiving_.pop_back();
}

void ServerLoop::watch_patience() {
  const DurationNs shortest = std::min(shared_.params.patience, shared_.params.handshake_max);
  const DurationNs pause = std::clamp(shortest / 10, DurationNs{1'000'000}, DurationNs{1'000'000'000});
  loop_.call_at(loop_.now() + pause, [this] {
    look_around();
    watch_patience();
  });
}

void ServerLoop::look_around() {
  const TimeNs now = loop_.now();
  // Those that are told that it is over leave the lists.
  for (std::size_t i = receiving_.size(); i > 0; --i) receiving_[i - 1]->look_around(now);
  for (auto next = connections_.begin(); next != connections_.end();) (*next++)->look_around(now);
}

}  // namespace mark::net
