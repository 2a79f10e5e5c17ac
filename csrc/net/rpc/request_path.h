// The native driver of one model's endpoint: calls from any ingress thread, one home loop that polls, replies back to
// the threads of their calls.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mark/mutex.h"
#include "mark/thread_annotations.h"
#include "net/endpoint.h"
#include "net/rpc/batch_sender.h"
#include "net/rpc/grpc_server.h"
#include "net/rpc/notices.h"
#include "net/rpc/pending_calls.h"

namespace mark::net {

struct RequestPathParams {
  int number = 0;  // among the models, for its notices
  ModelSignature signature;
  DispatcherParams dispatcher;
  bool bursts = false;  // what the endpoint gives up is told as a notice, for somebody else to answer
};

// Thread safety: submit(), cancel(), answer() and end() belong to the loop whose number they are given; add_worker(),
// drain_worker(), remove_worker() and close() to the home loop, that of thread 0; the rest may be called from any
// thread. Outlives what runs on the loops.
//
// Invariants
//   - each call is answered or failed once, unless it is cancelled first;
//   - one poll serves all events of a turn of the home loop; while all calls come on the home loop's thread, nothing is
//     posted and no lock is contended;
//   - the home loop's timer fires no later than the endpoint has something to do: whoever makes that earlier from
//     another thread wakes the loop, once while one wake-up is on its way.
class RequestPath final : private BatchSenderOwner {
 public:
  RequestPath(RequestPathParams params, PendingCalls& calls, Notices& notices);
  ~RequestPath();
  RequestPath(const RequestPath&) = delete;
  RequestPath& operator=(const RequestPath&) = delete;

  // Answers one ModelInferRequest within the smaller of rt_max, from now on, and the client's own deadline. `trace`:
  // of one that is sampled.
  void submit(std::size_t loop, UnaryCall call, std::shared_ptr<RequestTrace> trace = nullptr);
  void cancel(std::size_t loop, PendingCall& pending);  // its client has left
  // What somebody else says to a request that was given up.
  void answer(std::size_t loop, CallId call, std::string message);
  void end(std::size_t loop, CallId call, const RequestEnd& end);

  void add_worker(WorkerId worker, std::unique_ptr<BatchCarrier> carrier, const WorkerSpec& spec);
  void drain_worker(WorkerId worker);   // tells WorkerGone once it has nothing in flight
  void remove_worker(WorkerId worker);  // tells WorkerGone
  void probed(WorkerId worker, const std::string& finding);
  void close();  // forgets all workers; calls that still wait end as Unavailable

  EventLoop& home() const { return home_; }
  BatchCarrier* carrier_of(WorkerId worker) const { return sender_.carrier_of(worker); }  // on the home loop

  void retune(const DispatcherParams& params);  // as in Dispatcher
  void shed(double share);                      // as in Dispatcher
  Statistics statistics() const { return endpoint_.statistics(); }
  const ModelSignature& signature() const { return endpoint_.signature(); }
  Endpoint& endpoint() { return endpoint_; }
  int ready_workers() const { return ready_workers_.load(); }
  // As they are now; as they were a moment ago when the home loop is busy for longer than `patience`, or has ended.
  std::vector<WorkerReport> workers(DurationNs patience) EXCLUDES(reports_->mutex);

 private:
  struct Reports {
    Mutex mutex;
    ConditionVariable changed;
    std::vector<WorkerReport> latest GUARDED_BY(mutex);
    std::uint64_t asked GUARDED_BY(mutex) = 0;
    std::uint64_t answered GUARDED_BY(mutex) = 0;
  };

  void on_replies(std::vector<Reply> replies) override;
  void on_changed() override { look_soon(0); }
  void on_worker_ready(WorkerId worker) override;
  void on_batch_lost(int requests, const std::string& why) override;

  void look_soon(std::size_t loop);
  void look();
  void wake_home();
  void poll();
  void send_replies();
  void deliver(std::size_t loop, Reply reply);
  void give_up(std::size_t loop, PendingCall& pending, Outcome outcome, RequestEnd why);
  void close_calls(std::size_t loop);
  void refresh_reports();

  const int number_;
  const bool bursts_;
  const DurationNs rt_max_;
  PendingCalls& calls_;
  Notices& notices_;
  EventLoop& home_;
  Endpoint endpoint_;
  BatchSender sender_;
  std::vector<std::vector<Reply>> outbox_;  // by loop, until the end of the turn; the home loop's stays empty
  bool sending_soon_ = false;
  struct alignas(64) Flag {
    bool is_set = false;
  };
  std::vector<Flag> looking_soon_;      // by loop: its thread looks at the end of its turn
  std::atomic<std::int64_t> armed_ns_;  // when the home loop looks by itself; the end of time when it does not
  std::optional<EventLoop::TimerId> timer_;
  std::atomic<bool> waking_ = false;  // a wake-up is posted and not run
  std::atomic<int> ready_workers_ = 0;
  std::shared_ptr<Reports> reports_ = std::make_shared<Reports>();
};

}  // namespace mark::net
