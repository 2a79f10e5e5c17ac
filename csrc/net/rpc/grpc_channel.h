// The client's side of gRPC: unary calls over one persistent connection that is made again when it breaks.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "mark/types.h"
#include "net/rpc/event_loop.h"
#include "net/rpc/out_buffer.h"
#include "net/rpc/response_reader.h"

namespace mark::net {

class TlsContext;

// Headers of a call beyond those of every call; names in lower case.
using CallMetadata = std::vector<std::pair<std::string, std::string>>;

using ChannelCallId = SlotId<struct ChannelCallTag>;

struct GrpcChannelParams {
  std::string address;                        // "host:port" or "unix:/path"
  std::shared_ptr<TlsContext> tls = nullptr;  // null: no TLS
  std::int64_t message_bytes_max = -1;        // of a response; -1: no limit
  DurationNs reconnect_first{50'000'000};
  DurationNs reconnect_max{1'000'000'000};
  DurationNs connect_max{20'000'000'000};  // until the peer has shown that it speaks HTTP/2
  DurationNs ping_after{10'000'000'000};   // of silence while calls wait; as long again, and the connection is dead
};

// Thread safety: none; belongs to its event loop.
//
// Invariants
//   - each call ends in exactly one result, never from within call(), unless cancel() or close() came first; `done` may
//     call anything, and destroy the channel;
//   - calls wait, in order, while the first attempt to connect is under way, or the one that replaces a good
//     connection, and while the peer takes no more streams at once; once an attempt has failed, they end UNAVAILABLE
//     at once, saying why, until one succeeds;
//   - a call that reached the peer is never sent twice.
class GrpcChannel {
 public:
  using Done = std::function<void(CallResult)>;

  GrpcChannel(EventLoop& loop, GrpcChannelParams params);  // begins to connect; throws std::invalid_argument
  ~GrpcChannel();
  GrpcChannel(const GrpcChannel&) = delete;
  GrpcChannel& operator=(const GrpcChannel&) = delete;

  // The message in pieces, without length prefix. The remaining time goes with it as grpc-timeout; at the deadline the
  // call ends DEADLINE_EXCEEDED and the stream is reset.
  ChannelCallId call(std::string_view path, std::vector<Piece> message, TimeNs deadline, Done done,
                     CallMetadata metadata = {});
  void cancel(ChannelCallId call);  // resets the stream; there is no result

  bool is_connected() const;
  // Why the last attempt to connect failed; empty while there is reason to hope, and calls wait.
  const std::string& why_unavailable() const;
  std::size_t calls_in_flight() const;
  // Uses another identity for connections from now on; the one that stands ends once its calls have.
  void retrust(std::shared_ptr<TlsContext> tls);
  void close();  // at once, without results

 private:
  class State;
  std::shared_ptr<State> state_;
};

}  // namespace mark::net
