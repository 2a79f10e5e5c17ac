// A gRPC server on its own threads: unary methods handled in C++, every other one passed on to a server beside it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mark/types.h"
#include "net/rpc/event_loop.h"
#include "net/rpc/grpc_status.h"
#include "net/rpc/http2_connection.h"
#include "net/trace_context.h"

namespace mark::net {

class TlsContext;

using CallId = SlotId<struct CallTag>;  // of one CallLoop

struct UnaryCall {
  CallId id;
  std::string message;                                    // one message, decompressed
  std::optional<TimeNs> deadline;                         // that the client asks for
  std::unique_ptr<TraceHeaders> trace_headers = nullptr;  // where it sends any
};

// The calls of one ingress thread.
//
// Thread safety: none; belongs to its loop. Work for it comes from other threads through loop().post().
//
// Invariants
//   - a call is answered, failed or heard of as cancelled exactly once; an answer to one that is over changes nothing.
class CallLoop {
 public:
  virtual EventLoop& loop() = 0;
  virtual void reply(CallId call, std::string message) = 0;
  virtual void fail(CallId call, const GrpcStatus& status) = 0;

 protected:
  ~CallLoop() = default;
};

// What answers a unary method. Called on the loop of the call, from several loops at once.
class UnaryHandler {
 public:
  virtual void on_call(CallLoop& calls, UnaryCall call) = 0;
  virtual void on_cancelled(CallLoop& calls, CallId call) = 0;  // its client has left, or waits no longer

 protected:
  ~UnaryHandler() = default;
};

struct GrpcServerParams {
  std::string address;  // "host:port", where port 0 takes a free one, "[::1]:port", or "unix:/path"
  int threads = 1;
  std::string pass_on_to;  // "unix:/path" of the server for all other methods; empty: UNIMPLEMENTED
  std::int64_t message_bytes_max = std::int64_t{64} * 1024 * 1024;  // of a request, decompressed; -1: no limit
  std::int64_t inflated_bytes_max = -1;  // of one that came compressed, if that is to be less
  std::int64_t received_bytes_max =
      std::int64_t{1024} * 1024 * 1024;  // of all requests that are being received, together
  // What the first thread does for any connection's calls, where that connection's own thread does 1: the more it has
  // to do for others, the fewer connections it is given.
  double first_thread_share = 0.0;
  int connections_max = 20'000;
  DurationNs handshake_max{10'000'000'000};  // from accepting to the peer's SETTINGS
  DurationNs patience{60'000'000'000};       // with a message that stays away, and a peer that takes nothing
  Http2Limits http2;
  std::shared_ptr<TlsContext> tls;  // null: no TLS
};

struct GrpcServerCounts {
  std::uint64_t connections = 0;  // accepted ever
  std::uint64_t connections_open = 0;
  std::uint64_t connections_refused = 0;   // beyond connections_max
  std::uint64_t connections_hostile = 0;   // closed for a flood, a bomb or a breach of the protocol
  std::uint64_t connections_too_slow = 0;  // closed: no handshake, or nothing taken for too long
  std::uint64_t calls = 0;
  std::uint64_t calls_passed_on = 0;
  std::uint64_t calls_cancelled = 0;
  std::uint64_t messages_refused = 0;  // too large, or too much in all
  std::uint64_t bytes_read = 0;
  std::uint64_t bytes_written = 0;
};

// Thread safety: constructed, started, drained and stopped by one thread; counts() may be called from any.
class GrpcServer {
 public:
  // Binds at once. Throws std::system_error with the errno of the bind (EADDRINUSE …) or std::invalid_argument.
  explicit GrpcServer(GrpcServerParams params);
  ~GrpcServer();  // stops
  GrpcServer(const GrpcServer&) = delete;
  GrpcServer& operator=(const GrpcServer&) = delete;

  void handle(std::string_view path, UnaryHandler& handler);  // before start()
  std::vector<CallLoop*> call_loops();                        // by thread
  const std::string& address() const;                         // that it is bound to
  void start();
  // Listens no more, sends GOAWAY to every connection, and refuses new calls with UNAVAILABLE; those in flight go on.
  void drain();
  // Answers what is written already, then closes every connection and ends the threads.
  void stop();
  GrpcServerCounts counts() const;

 private:
  class State;
  std::unique_ptr<State> state_;
};

}  // namespace mark::net
