// What answers ModelInfer: finds the model's request path, and counts the calls that wait.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "net/rpc/grpc_server.h"
#include "net/rpc/notices.h"
#include "net/rpc/pending_calls.h"
#include "net/rpc/request_path.h"
#include "net/tracer.h"

namespace mark::net {

// For GrpcServerParams::first_thread_share: to form batches, send them and cut their answers takes the home loop half
// of what a call takes the loop that reads and answers it.
inline constexpr double kHomeLoopShare = 0.5;

// Thread safety: add_model() before any call comes; drain(), answer() and end() from any thread, the rest on the loops
// of the calls. Outlives what runs on the loops.
//
// Invariants
//   - once drain() was called, calls that come are refused; AllAnswered is told when the last of those before it is
//     over, or never while there are any.
class Ingress final : public UnaryHandler {
 public:
  // `tracer`: null where no request is traced; a lane of it for each loop.
  Ingress(const std::vector<CallLoop*>& loops, Notices& notices, std::shared_ptr<Tracer> tracer = nullptr)
      : calls_(loops), notices_(notices), tracer_(std::move(tracer)) {}

  // The number in the params is given here.
  RequestPath& add_model(RequestPathParams params);

  void on_call(CallLoop& calls, UnaryCall call) override;
  void on_cancelled(CallLoop& calls, CallId call) override;

  void drain();

  // Of a request that was given up. One whose client has left is forgotten already: nothing happens then.
  void answer(GivenUpTicket ticket, std::string message);
  void end(GivenUpTicket ticket, RequestEnd end);

 private:
  RequestPath* path_of(std::string_view model) const;
  void later(GivenUpTicket ticket, std::function<void(std::size_t loop, PendingCall&)> then);

  PendingCalls calls_;
  Notices& notices_;
  const std::shared_ptr<Tracer> tracer_;
  std::vector<std::unique_ptr<RequestPath>> paths_;
  std::map<std::string, RequestPath*, std::less<>> by_name_;
  std::atomic<bool> draining_ = false;
};

}  // namespace mark::net
