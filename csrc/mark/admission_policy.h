// Which requests can still be answered in time: decided at the door, and again for the head of the queue.
#pragma once

#include <cstdint>
#include <optional>

#include "mark/balancer.h"
#include "mark/batch_queue.h"
#include "mark/live_requests.h"
#include "mark/request.h"
#include "mark/types.h"

namespace mark {

struct AdmissionParams {
  DurationNs rt_max{};
  DurationNs margin{};         // a function is called on that much before it is too late
  DurationNs burst_latency{};  // of a function that takes what is refused; zero when there is none
  bool predicts = true;        // also refuse what a prediction says will be late; else only bounds and deadlines count
};

// Looks at the queue and the workers, which must outlive it, and changes neither.
class AdmissionPolicy {
 public:
  AdmissionPolicy(const BatchQueue& queue, const Balancer& balancer, const AdmissionParams& params)
      : queue_(queue), balancer_(balancer), params_(params) {}

  // kExpired, kQueueFull, kPredictedMiss or kAccepted. The newcomer is predicted to finish after those that go before
  // it, in a batch of those that would wait with it, on the fastest ready worker. With no ready worker nothing is
  // predicted, for one may be on its way; where a function answers in time, nobody waits for it.
  Admission admit(const Request& request, TimeNs now) const;

  // Whether the request at the head of the queue is to be given up: not even the fastest ready worker, alone and at
  // once, could finish it by its deadline; or a function just can, and the worker that is free first is predicted not
  // to. Once no function can, it is left to the workers.
  bool is_doomed(const LiveRequest& head, TimeNs now) const;
  // The next instant at which is_doomed may become true of a head although nothing else happens; the queue is not
  // empty.
  TimeNs look_again_at(TimeNs now) const;

  // Whether the worker may take a batch that was cut for the sake of its head. Small batches serve less; where they
  // would not get through the queue within rt_max, saving one head costs several others, and the ones behind it then
  // need the same: the queue stays where every head is nearly late, and throughput at that of single rows.
  // What is queued behind a head of that priority is none of its business.
  bool can_afford(const BatchCandidate& candidate, int priority) const;

  void retune(const AdmissionParams& params) { params_ = params; }

  bool predicts() const { return params_.predicts; }

  // How long the queue keeps the ready workers busy; rt_max when none is ready, for by then the queue has expired.
  DurationNs backlog(TimeNs now) const { return backlog_of(queue_.rows(), now); }

 private:
  bool bursts() const { return params_.predicts && params_.burst_latency > DurationNs::zero(); }
  bool burst_in_time(const Request& request, TimeNs now) const {
    return bursts() && now <= request.deadline - params_.burst_latency;
  }
  DurationNs backlog_of(std::int64_t rows, TimeNs now) const;
  TimeNs look_again_at(const LiveRequest& head, TimeNs now) const;
  TimeNs doomed_from(const LiveRequest& head) const;
  // The time of the batch that the request would be part of; empty when no ready worker takes so many rows.
  std::optional<DurationNs> service_of(const Request& request) const;

  const BatchQueue& queue_;
  const Balancer& balancer_;
  AdmissionParams params_;
};

}  // namespace mark
