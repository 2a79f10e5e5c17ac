// The request path as a passive state machine: told what happened and when, it answers with what to send where.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "mark/batch_policy.h"
#include "mark/latency_profile.h"
#include "mark/request.h"
#include "mark/statistics.h"
#include "mark/types.h"

namespace mark {

struct DispatcherParams {
  DurationNs rt_max{};                                             // the SLO: bounds W_batch
  int rows_max = 32;                                               // rows in one batch
  int queue_requests_max = 4096;                                   // bound on queued requests
  std::int64_t queue_bytes_max = std::int64_t{256} * 1024 * 1024;  // bound on queued payload bytes
  DurationNs margin{};    // kept between predicted finish and deadline, for the way back to the client
  bool admission = true;  // refuse at the door what no ready worker can finish in time
  // Of a serverless function that takes what the dispatcher refuses and drops; zero when there is none. With one,
  // no request that it can answer in time waits for a worker that is not there yet, and a queued one that its workers
  // would answer late is given up while the function still answers in time: from `margin` before the last such instant
  // until then, so that a driver may be late by that.
  DurationNs burst_latency{};
  int priority_levels = 2;                         // priorities of requests: from 1, the first, up to this
  int priority_default = 2;                        // of a request that says none
  std::optional<FixedBatch> fixed = std::nullopt;  // instead of adaptive batches
  bool corrects = true;  // learns how much slower than its profile each worker is, and ejects one far above its class
};

struct WorkerSpec {
  LatencyProfile profile;  // through the sizes in which batches are to be sent, if only some are allowed
  // What this worker takes in one batch; the least of it, the dispatcher's and the profile's largest size holds.
  int rows_max = 32;
  int batches_in_flight_max = 1;
};

// Thread safety: none; ConcurrentDispatcher adds it. Never blocks, never reads a clock; `now` must not decrease.
//
// Invariants
//   - every accepted request is queued or in flight until it is reported exactly once: by complete(), by a Drop of
//     poll(), fail() or worker_down(), or by a cancel() that returned true;
//   - a request whose deadline has passed is never part of a Dispatch;
//   - a Dispatch to a worker whose profile has sizes has one of them;
//   - a cancelled or expired request holds no place in the queue's bounds.
class Dispatcher {
 public:
  explicit Dispatcher(const DispatcherParams& params);  // throws std::invalid_argument on a nonsensical parameter
  ~Dispatcher();
  Dispatcher(Dispatcher&&) noexcept;
  Dispatcher& operator=(Dispatcher&&) noexcept;

  // Ids index a table: hand out small slots and reuse them with a new generation. Throws std::invalid_argument when
  // the id is live already, rows < 1, or the priority is none of the levels.
  Admission submit(const Request& request, TimeNs now);

  // Batches that are due now and requests that ran out of time. Call after every event and at next_wakeup().
  Decisions poll(TimeNs now);

  // The instant at which poll has something to do although nothing else happens; empty when there is none.
  std::optional<TimeNs> next_wakeup() const;

  // The batch came back: the ids in it that still wait for an answer, in the batch's order. Empty for a stale batch.
  std::vector<RequestId> complete(BatchId batch, TimeNs now);

  // The batch came back without an answer. Each of its requests is queued again while its deadline has not passed,
  // alone in its batch, else reported as dropped; not when it was alone with a model error, or loses its second worker.
  std::vector<Drop> fail(BatchId batch, Failure failure, TimeNs now);

  // True when the request was queued or in flight; it is forgotten at once. Within `margin` of its deadline it counts
  // as expired, before that as cancelled.
  bool cancel(RequestId request, TimeNs now);

  void worker_up(WorkerId worker, const WorkerSpec& spec, TimeNs now);  // throws std::invalid_argument when known
  void worker_drain(WorkerId worker);                          // takes no further batch; unknown ids are ignored
  bool worker_busy(WorkerId worker) const;                     // has a batch in flight
  std::vector<Drop> worker_down(WorkerId worker, TimeNs now);  // fails its batches, forgets it

  // Reckons with other parameters from now on; nothing that is queued or in flight is lost. Throws
  // std::invalid_argument, and changes nothing, when they are nonsensical or differ in what cannot change: rt_max,
  // rows_max, priority_levels.
  void retune(const DispatcherParams& params, TimeNs now);

  // Refuses this share of the requests of the lowest priority at the door from now on, whether workers could answer
  // them or not: in [0, 1], else throws std::invalid_argument. What is queued stays.
  void shed(double share);

  // How long the backlog keeps the ready workers busy: what a refused client should wait before it tries again. rt_max
  // when requests wait and no worker is ready.
  DurationNs backlog(TimeNs now) const;

  Statistics statistics() const;

 private:
  class State;
  std::unique_ptr<State> state_;
};

}  // namespace mark
