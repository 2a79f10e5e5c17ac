// A call that is passed on to the server beside this one, as it is: headers, data and trailers, both ways.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/rpc/http2_connection.h"
#include "net/rpc/server_loop.h"

namespace mark::net {

using OwnedHeaders = std::vector<std::pair<std::string, std::string>>;

// The front is the client's stream, the back that to the other server.
//
// Thread safety: none; belongs to its loop.
//
// Invariants
//   - a side that reads nothing stops the other one: no more than a stream's window waits here, each way;
//   - when one side ends or resets its stream, so does the other.
class PassedCall : public std::enable_shared_from_this<PassedCall> {
 public:
  PassedCall(ServerLoop& server, Http2Connection& front, StreamId front_stream);
  ~PassedCall();
  PassedCall(const PassedCall&) = delete;
  PassedCall& operator=(const PassedCall&) = delete;

  // Answers UNAVAILABLE when the other server is not to be had.
  void start(const OwnedHeaders& headers);

  // What the client does.
  void on_front_data(std::string_view bytes);
  void on_front_end();
  void on_front_sent(std::size_t bytes);
  void on_front_closed();

 private:
  class Back;

  void on_back_headers_end();
  void on_back_data(std::string_view bytes);
  void on_back_end();
  void on_back_sent(std::size_t bytes);
  void on_back_closed(Http2Error error);

  void send_headers(bool ended);
  void fail_unavailable(const std::string& why);
  void note_waiting(std::size_t bytes);
  void forget_waiting(std::size_t bytes);

  ServerLoop& server_;
  Http2Connection* front_;  // null once its stream has closed
  const StreamId front_stream_;
  std::shared_ptr<Http2Connection> back_;  // null once its stream has closed
  StreamId back_stream_{-1};
  OwnedHeaders block_;  // that comes from the back
  bool headers_came_ = false;
  bool headers_sent_ = false;
  bool response_ended_ = false;
  std::size_t waiting_bytes_ = 0;  // either way
};

}  // namespace mark::net
