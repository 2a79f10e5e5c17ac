// The server beside this one, to which calls are passed on: connections of one thread to its Unix socket.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "net/rpc/http2_connection.h"

namespace mark::net {

// Thread safety: none; belongs to one event loop.
//
// Invariants
//   - new streams go to a connection that takes them; one that has said goodbye stays until its streams have ended.
class Backend final : public Http2Owner {
 public:
  // `address` is "unix:/path"; empty when there is no such server.
  Backend(EventLoop& loop, std::string address, const Http2Limits& limits);
  ~Backend();
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;

  bool exists() const { return !address_.empty(); }
  // The connection for a new stream; null when there is none to be had, and last_error() says why.
  std::shared_ptr<Http2Connection> connection();
  const std::string& last_error() const { return last_error_; }
  void close();

  std::unique_ptr<StreamHandler> on_stream(Http2Connection& connection, StreamId stream) override;
  void on_settings(Http2Connection& connection) override;
  void on_go_away(Http2Connection& connection) override;
  void on_connection_closed(Http2Connection& connection, std::string_view why) override;

 private:
  EventLoop& loop_;
  const std::string address_;
  const Http2Limits limits_;
  std::vector<std::shared_ptr<Http2Connection>> connections_;
  Http2Connection* current_ = nullptr;  // one of them
  std::string last_error_;
};

}  // namespace mark::net
