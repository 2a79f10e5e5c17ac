// Sends one model's batches to its workers, and follows the workers' lives.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "mark/worker_life.h"
#include "net/endpoint.h"
#include "net/rpc/batch_carrier.h"
#include "net/rpc/event_loop.h"

namespace mark::net {

// What a worker is like, for who looks at it from outside.
struct WorkerReport {
  WorkerId worker{};
  std::string address;
  std::string last_probe;
  bool up = false;
  bool draining = false;
  bool hung = false;  // it let one batch after another run out of time, and is better replaced
};

// What a sender tells its request path.
class BatchSenderOwner {
 public:
  virtual void on_replies(std::vector<Reply> replies) = 0;
  virtual void on_changed() = 0;  // the endpoint may have something to do now
  virtual void on_worker_ready(WorkerId worker) = 0;
  virtual void on_batch_lost(int requests, const std::string& why) = 0;

 protected:
  ~BatchSenderOwner() = default;
};

// Thread safety: none; belongs to the home loop of its request path.
//
// Invariants
//   - a worker is up in the endpoint exactly while its life says so;
//   - the first batch of a life that is lost takes the worker down, which ends the others; what they say later is no
//     news;
//   - what was given to drain() is called once, also when the worker is removed or lost meanwhile.
class BatchSender {
 public:
  using Drained = std::function<void()>;

  BatchSender(EventLoop& home, Endpoint& endpoint, DurationNs rt_max, BatchSenderOwner& owner);
  ~BatchSender();
  BatchSender(const BatchSender&) = delete;
  BatchSender& operator=(const BatchSender&) = delete;

  // Sends to it as soon as it says that it is ready, and again each time it comes back.
  void add(WorkerId worker, std::unique_ptr<BatchCarrier> carrier, const WorkerSpec& spec);
  // Sends nothing more to it; once it has nothing in flight it is forgotten, and `drained` called.
  void drain(WorkerId worker, Drained drained);
  // Forgets it at once: what it had in flight is tried elsewhere.
  void remove(WorkerId worker);
  void remove_all();

  void send(const OutboundBatch& batch);

  std::vector<WorkerReport> reports() const;
  BatchCarrier* carrier_of(WorkerId worker) const;  // null when it is not known any more

 private:
  struct Worker {
    Worker(std::unique_ptr<BatchCarrier> its_carrier, WorkerSpec its_spec)
        : carrier(std::move(its_carrier)), spec(std::move(its_spec)) {}

    const std::unique_ptr<BatchCarrier> carrier;
    const WorkerSpec spec;
    WorkerLife life;
    bool draining = false;
    std::optional<EventLoop::TimerId> left_alone;
    std::vector<Drained> drained;
  };

  // What is remembered of a batch until its carrier is done with it.
  struct Sent {
    BatchId batch;
    WorkerId worker{};
    int requests = 0;
    WorkerLife::Life life = 0;
  };

  Worker* find(WorkerId worker) const;
  void connect(WorkerId worker);
  void take_down(WorkerId worker, Worker& entry);
  void ended(const Sent& batch, BatchResult result);
  void lost(const Sent& batch, Worker& entry, const BatchResult& result);
  void finish_drain(WorkerId worker);

  EventLoop& home_;
  Endpoint& endpoint_;
  const DurationNs rt_max_;
  BatchSenderOwner& owner_;
  std::unordered_map<WorkerId, std::unique_ptr<Worker>> workers_;
};

}  // namespace mark::net
