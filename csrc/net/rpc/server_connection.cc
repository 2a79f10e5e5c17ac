#include "net/rpc/server_connection.h"

#include <utility>

#include "net/rpc/server_call.h"

namespace mark::net {

namespace {

// How long a client that has been told of the end may still send what it had sent before it heard.
constexpr DurationNs kEndNotice{1'000'000'000};

}  // namespace

ServerConnection::ServerConnection(ServerLoop& server, std::unique_ptr<Transport> transport)
    : server_(server), began_(server.loop().now()), taken_(began_) {
  http2_ = Http2Connection::make(server.loop(), std::move(transport), Http2Connection::Role::kServer,
                                 server.shared().params.http2, *this);
  server_.counts().connections.add();
  server_.counts().connections_open.add();
}

ServerConnection::~ServerConnection() {
  if (!over_) close();
}

std::unique_ptr<StreamHandler> ServerConnection::on_stream(Http2Connection& /*connection*/, StreamId stream) {
  return std::unique_ptr<StreamHandler>(new (server_.loop().memory()) ServerCall(*this, stream));
}

void ServerConnection::on_settings(Http2Connection& /*connection*/) { settings_came_ = true; }

void ServerConnection::on_go_away(Http2Connection& /*connection*/) {}

void ServerConnection::on_connection_closed(Http2Connection& connection, std::string_view /*why*/) {
  if (connection.is_hostile()) server_.counts().connections_hostile.add();
  count_end();
  server_.release(*this);
}

void ServerConnection::drain() {
  draining_since_ = server_.loop().now();
  http2_->announce_end();
}

void ServerConnection::close() {
  http2_->close();
  count_end();
}

void ServerConnection::look_around(TimeNs now) {
  count_bytes();
  if (draining_since_ != TimeNs::max() && now - draining_since_ >= kEndNotice) {
    draining_since_ = TimeNs::max();
    http2_->go_away();
  }
  if (!is_too_slow(now)) return;
  server_.counts().connections_too_slow.add();
  close();
  server_.release(*this);
}

bool ServerConnection::is_too_slow(TimeNs now) {
  const GrpcServerParams& params = server_.shared().params;
  if (!settings_came_) return now - began_ >= params.handshake_max;
  return http2_->unsent_bytes() > 0 && now - taken_ >= params.patience;
}

void ServerConnection::count_bytes() {
  const Http2Counts& counts = http2_->counts();
  server_.counts().bytes_read.add(counts.bytes_read - std::exchange(bytes_read_, counts.bytes_read));
  const std::uint64_t before = std::exchange(bytes_written_, counts.bytes_written);
  server_.counts().bytes_written.add(bytes_written_ - before);
  // What this turn has answered is not sent yet, and the last look may be long ago: that is not the peer's doing.
  const bool took_before = std::exchange(takes_, http2_->unsent_bytes() > 0);
  if (bytes_written_ != before || !takes_ || !took_before) taken_ = server_.loop().now();
}

void ServerConnection::count_end() {
  over_ = true;
  count_bytes();
  server_.counts().connections_open.subtract();
  server_.shared().connections_open.fetch_sub(1, std::memory_order_relaxed);
}

}  // namespace mark::net
