// One thread of a server: its event loop, its connections and their calls.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/rpc/backend.h"
#include "net/rpc/call_table.h"
#include "net/rpc/deadline_queue.h"
#include "net/rpc/grpc_server.h"
#include "net/rpc/server_counts.h"

namespace mark::net {

class ServerCall;
class ServerConnection;

// What the threads of a server share. Fixed once they run, but for the counters and the flag.
struct ServerShared {
  explicit ServerShared(GrpcServerParams the_params) : params(std::move(the_params)) {}

  UnaryHandler* handler_of(std::string_view path) const;

  const GrpcServerParams params;
  std::vector<std::pair<std::string, UnaryHandler*>> methods;
  std::atomic<bool> draining = false;
  std::atomic<std::int64_t> connections_open = 0;
  std::atomic<std::int64_t> receiving_bytes = 0;  // of requests that are not complete
};

// Thread safety: none but counts(); belongs to its loop's thread once that runs.
//
// Invariants
//   - each call is in the table from the end of its headers until it is answered or cancelled, but those passed on;
//   - a call that its deadline finds there is over soon after it, and costs no timer of its own;
//   - a connection is released in the turn after it ended, when nothing of it is on the stack.
class ServerLoop final : public CallLoop {
 public:
  explicit ServerLoop(ServerShared& shared);
  ~ServerLoop();
  ServerLoop(const ServerLoop&) = delete;
  ServerLoop& operator=(const ServerLoop&) = delete;

  EventLoop& loop() override { return loop_; }
  void reply(CallId call, std::string message) override;
  void fail(CallId call, const GrpcStatus& status) override;

  void adopt(int fd);  // a connection that was accepted, on this loop's thread
  void drain();
  void close_all();
  void watch_patience();  // looks again and again for peers that are too slow

  // For connections and calls.
  ServerShared& shared() { return shared_; }
  ServerThreadCounts& counts() { return counts_; }
  const ServerThreadCounts& counts() const { return counts_; }
  Backend& backend() { return backend_; }
  CallTable<CallId, ServerCall>& calls() { return calls_; }
  void watch_deadline(TimeNs deadline, CallId call);
  void add_receiving(ServerCall& call);
  void remove_receiving(ServerCall& call);
  void release(ServerConnection& connection);

 private:
  void look_around();
  void expire_calls();
  void arm_deadline();

  ServerShared& shared_;
  ServerThreadCounts counts_;
  EventLoop loop_;
  Backend backend_;
  CallTable<CallId, ServerCall> calls_;
  DeadlineQueue<CallId> deadlines_;
  std::optional<EventLoop::TimerId> deadline_timer_;
  std::vector<ServerCall*> receiving_;  // whose message is on its way
  std::list<std::unique_ptr<ServerConnection>> connections_;
};

}  // namespace mark::net
