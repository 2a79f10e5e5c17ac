// A gRPC server that does as a test tells it, on the test's own event loop.
#pragma once

#include <doctest/doctest.h>
#include <sys/epoll.h>

#include <array>
#include <cerrno>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "net/rpc/event_loop.h"
#include "net/rpc/grpc_framing.h"
#include "net/rpc/http2_connection.h"
#include "net/rpc/listener.h"
#include "net/rpc/transport.h"

namespace mark::net {

// Runs the loop until `reached`, and fails the test when that takes unreasonably long.
inline void run_until(EventLoop& loop, const std::function<bool()>& reached) {
  constexpr DurationNs kPatience{20'000'000'000};
  bool late = false;
  const auto timer = loop.call_at(steady_now() + kPatience, [&late] { late = true; });
  loop.run_until([&] { return late || reached(); });
  loop.cancel(timer);
  REQUIRE_FALSE(late);
}

// Lets the loop run for so long: only where nothing is meant to happen.
inline void run_for(EventLoop& loop, DurationNs duration) {
  bool over = false;
  loop.call_at(steady_now() + duration, [&over] { over = true; });
  loop.run_until([&over] { return over; });
}

class ScriptedPeer final : private FdWatcher, private Http2Owner {
 public:
  struct Request {
    Http2Connection* connection = nullptr;
    StreamId stream{};
    std::map<std::string, std::string> headers;
    std::string body;  // framed
    std::string message() const { return body.substr(kMessagePrefixBytes); }
  };
  using Headers = std::vector<std::pair<std::string, std::string>>;
  using Script = std::function<void(Request&)>;
  using MakeTransport = std::function<std::unique_ptr<Transport>(int fd)>;

  ScriptedPeer(EventLoop& loop, const std::string& address, Script script)
      : loop_(loop), listener_(address), script_(std::move(script)) {
    loop_.watch(listener_.fd(), EPOLLIN, *this);
  }
  ~ScriptedPeer() {
    loop_.unwatch(listener_.fd());
    for (const auto& connection : connections_) connection->close();
  }
  ScriptedPeer(const ScriptedPeer&) = delete;
  ScriptedPeer& operator=(const ScriptedPeer&) = delete;

  const std::string& address() const { return listener_.address(); }
  void stop_listening() {
    loop_.unwatch(listener_.fd());
    listener_.close();
  }
  void break_connections() {
    for (const auto& connection : std::exchange(connections_, {})) connection->close();
  }

  static void answer(const Request& request, const std::string& message) { answer(request, message, {}); }
  static void answer(const Request& request, const std::string& message, const Headers& trailers) {
    send_head(request, {});
    const auto prefix = message_prefix(message.size());
    send(request, std::string(prefix.data(), prefix.size()) + message);
    end(request, trailers);
  }
  static void send_head(const Request& request, const Headers& more) {
    std::vector<HeaderView> head{{":status", "200"}, {"content-type", "application/grpc"}};
    for (const auto& [name, value] : more) head.push_back({name, value});
    request.connection->send_headers(request.stream, head, false);
  }
  static void send(const Request& request, std::string bytes) {
    request.connection->send_data(request.stream, Piece(std::move(bytes)));
  }
  static void end(const Request& request, const Headers& more) {
    std::vector<HeaderView> trailers;
    trailers.reserve(more.size() + 1);
    bool has_status = false;
    for (const auto& [name, value] : more) {
      trailers.push_back({name, value});
      has_status = has_status || name == "grpc-status";
    }
    if (!has_status) trailers.push_back({"grpc-status", "0"});
    request.connection->end_with(request.stream, trailers);
  }
  static void only(const Request& request, const Headers& headers) {
    std::vector<HeaderView> views;
    views.reserve(headers.size());
    for (const auto& [name, value] : headers) views.push_back({name, value});
    request.connection->send_headers(request.stream, views, true);
  }

  int accepted = 0;
  int resets = 0;  // streams that the client reset
  Http2Limits limits;
  MakeTransport make_transport = make_socket_transport;
  std::vector<std::string> closed_because;
  std::vector<std::shared_ptr<Http2Connection>>& connections() { return connections_; }

 private:
  class Stream final : public StreamHandler {
   public:
    Stream(ScriptedPeer& peer, Http2Connection& connection, StreamId id) : peer_(peer) {
      request_.connection = &connection;
      request_.stream = id;
    }
    void on_header(std::string_view name, std::string_view value) override {
      request_.headers[std::string(name)] = std::string(value);
    }
    void on_headers_end() override {}
    void on_data(std::string_view bytes) override { request_.body.append(bytes); }
    void on_end() override { peer_.script_(request_); }
    void on_closed(Http2Error error) override { peer_.resets += error == Http2Error::kCancel ? 1 : 0; }

   private:
    ScriptedPeer& peer_;
    Request request_;
  };

  void on_ready(std::uint32_t /*events*/) override {
    for (int fd = listener_.accept(); fd >= 0; fd = listener_.accept()) {
      ++accepted;
      connections_.push_back(
          Http2Connection::make(loop_, make_transport(fd), Http2Connection::Role::kServer, limits, *this));
    }
  }
  std::unique_ptr<StreamHandler> on_stream(Http2Connection& connection, StreamId stream) override {
    return std::make_unique<Stream>(*this, connection, stream);
  }
  void on_settings(Http2Connection& /*connection*/) override {}
  void on_go_away(Http2Connection& /*connection*/) override {}
  void on_connection_closed(Http2Connection& connection, std::string_view why) override {
    closed_because.emplace_back(why);
    std::erase_if(connections_, [&connection](const auto& each) { return each.get() == &connection; });
  }

  EventLoop& loop_;
  Listener listener_;
  Script script_;
  std::vector<std::shared_ptr<Http2Connection>> connections_;
};

}  // namespace mark::net
