// The calls that wait for a request path, of all ingress threads.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "mark/types.h"
#include "net/rpc/grpc_server.h"
#include "net/tracer.h"

namespace mark::net {

class RequestPath;

struct PendingCall {
  CallId call;
  RequestPath* path = nullptr;  // null: nobody's
  RequestId request;
  TimeNs arrived;
  TimeNs deadline;
  std::string message;                  // only where another may answer what the path gives up
  bool given_up = false;                // it has
  std::shared_ptr<RequestTrace> trace;  // of one that is sampled
};

// Thread safety: what has a loop's number among its parameters belongs to that loop's thread; the rest may be called
// from any.
//
// Invariants
//   - a call is found from open() to close(), and never after, though its slot is another's then.
class PendingCalls {
 public:
  explicit PendingCalls(const std::vector<CallLoop*>& loops) {
    tables_.reserve(loops.size());
    for (CallLoop* const loop : loops) tables_.push_back({loop, {}});
  }

  std::size_t loops() const { return tables_.size(); }
  CallLoop& loop(std::size_t number) const { return *tables_[number].loop; }
  std::size_t number_of(const CallLoop& loop) const {
    std::size_t number = 0;
    while (tables_[number].loop != &loop) ++number;
    return number;
  }

  // The slots of a loop's calls are dense, and so is this table of them.
  PendingCall& open(std::size_t loop, CallId call, RequestPath& path) {
    auto& calls = tables_[loop].calls;
    if (calls.size() <= call.slot()) calls.resize(std::size_t{call.slot()} + 1);
    PendingCall& pending = calls[call.slot()];
    pending.call = call;
    pending.path = &path;
    doors_and_calls_.fetch_add(1, std::memory_order_relaxed);
    return pending;
  }
  // Null when no such call waits.
  PendingCall* find(std::size_t loop, CallId call) {
    PendingCall* const pending = in_slot(loop, call.slot());
    return pending != nullptr && pending->call == call ? pending : nullptr;
  }
  PendingCall* in_slot(std::size_t loop, std::uint32_t slot) {
    auto& calls = tables_[loop].calls;
    return slot < calls.size() && calls[slot].path != nullptr ? &calls[slot] : nullptr;
  }
  void close(PendingCall& pending) {
    pending = {};
    if (doors_and_calls_.fetch_sub(1) == 1) emptied_();
  }
  // Once: when no call waits any more; at once when none does. A call that comes later still has it told again.
  void tell_when_empty(std::function<void()> emptied) {
    emptied_ = std::move(emptied);
    if (doors_and_calls_.fetch_sub(1) == 1) emptied_();
  }
  // `visit` may close the call that it is given.
  template <class Visit>
  void for_each(std::size_t loop, Visit visit) {
    for (PendingCall& pending : tables_[loop].calls) {
      if (pending.path != nullptr) visit(pending);
    }
  }

 private:
  struct Table {
    CallLoop* loop = nullptr;
    std::vector<PendingCall> calls;  // by slot
  };
  std::vector<Table> tables_;
  std::atomic<std::int64_t> doors_and_calls_ = 1;  // the door counts until somebody waits for the last call
  std::function<void()> emptied_;
};

}  // namespace mark::net
