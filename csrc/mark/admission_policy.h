// Which requests can still be answered in time: decided at the door, and again for the head of the queue.
#pragma once

#include <optional>

#include "mark/balancer.h"
#include "mark/batch_queue.h"
#include "mark/live_requests.h"
#include "mark/request.h"
#include "mark/types.h"

namespace mark {

// Looks at the queue and the workers, which must outlive it, and changes neither.
class AdmissionPolicy {
 public:
  // predicts: also refuse what a prediction says will be late. Without it only bounds and deadlines count.
  AdmissionPolicy(const BatchQueue& queue, const Balancer& balancer, DurationNs rt_max, bool predicts)
      : queue_(queue), balancer_(balancer), rt_max_(rt_max), predicts_(predicts) {}

  // kExpired, kQueueFull, kPredictedMiss or kAccepted. The newcomer is predicted to finish after the backlog, in a
  // batch of those that would wait with it, on the fastest ready worker. With no ready worker nothing is predicted: one
  // may be on its way.
  Admission admit(const Request& request, TimeNs now) const;

  // The first instant at which a request at the head of the queue is given up: its deadline, or the moment from which
  // not even the fastest ready worker, alone and at once, could finish it by then.
  TimeNs doomed_from(const LiveRequest& head) const;

  // Whether the worker may take a batch that was cut for the sake of its head. Small batches serve less; where they
  // would not get through the queue within rt_max, saving one head costs several others, and the ones behind it then
  // need the same: the queue stays where every head is nearly late, and throughput at that of single rows.
  bool can_afford(const BatchCandidate& candidate) const;

  bool predicts() const { return predicts_; }

  // How long the queue keeps the ready workers busy; rt_max when none is ready, for by then the queue has expired.
  DurationNs backlog(TimeNs now) const;

 private:
  // The time of the batch that the request would be part of; empty when no ready worker takes so many rows.
  std::optional<DurationNs> service_of(const Request& request) const;

  const BatchQueue& queue_;
  const Balancer& balancer_;
  DurationNs rt_max_;
  bool predicts_;
};

}  // namespace mark
