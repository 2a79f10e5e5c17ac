// One client's connection to a server.
#pragma once

#include <list>
#include <memory>
#include <string_view>

#include "net/rpc/http2_connection.h"
#include "net/rpc/server_loop.h"

namespace mark::net {

// Thread safety: none; belongs to its loop.
class ServerConnection final : public Http2Owner {
 public:
  ServerConnection(ServerLoop& server, std::unique_ptr<Transport> transport);
  ~ServerConnection();
  ServerConnection(const ServerConnection&) = delete;
  ServerConnection& operator=(const ServerConnection&) = delete;

  std::unique_ptr<StreamHandler> on_stream(Http2Connection& connection, StreamId stream) override;
  void on_settings(Http2Connection& connection) override;
  void on_go_away(Http2Connection& connection) override;
  void on_connection_closed(Http2Connection& connection, std::string_view why) override;

  void drain();
  void close();
  // Closes it when its peer has been too slow; counts its bytes.
  void look_around(TimeNs now);

  ServerLoop& server() { return server_; }
  Http2Connection& http2() { return *http2_; }

  std::list<std::unique_ptr<ServerConnection>>::iterator place;  // in the loop's list

 private:
  bool is_too_slow(TimeNs now);
  void count_bytes();
  void count_end();

  ServerLoop& server_;
  std::shared_ptr<Http2Connection> http2_;
  TimeNs began_;
  TimeNs taken_;        // when its peer last took bytes, or had taken all, or was first seen with something to take
  bool takes_ = false;  // it had something to take when it was last looked at
  TimeNs draining_since_ = TimeNs::max();
  std::uint64_t bytes_read_ = 0;
  std::uint64_t bytes_written_ = 0;
  bool settings_came_ = false;
  bool over_ = false;
};

}  // namespace mark::net
