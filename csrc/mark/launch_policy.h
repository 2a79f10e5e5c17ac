// What to do next with the queue: launch a batch, give its head up, or wait.
#pragma once

#include <optional>
#include <variant>

#include "mark/admission_policy.h"
#include "mark/balancer.h"
#include "mark/batch_policy.h"
#include "mark/batch_queue.h"
#include "mark/request.h"
#include "mark/types.h"

namespace mark {

// Send the first requests of the front to the candidate's worker.
struct LaunchBatch {
  BatchCandidate candidate;
  DispatchReason reason = DispatchReason::kIdle;
};

// Refuse this request although a worker is free: saving it would cost others their time.
struct GiveUp {
  RequestId request;
};

// Nothing to do until then, if nothing else happens; never, when there is no instant.
struct WaitUntil {
  std::optional<TimeNs> at;
};

using NextStep = std::variant<LaunchBatch, GiveUp, WaitUntil>;

// Looks at the queue, the workers and the arrivals, which must outlive it, and changes none of them.
class LaunchPolicy {
 public:
  LaunchPolicy(BatchQueue& queue, const Balancer& balancer, const BatchPolicy& batching,
               const AdmissionPolicy& admission, const ArrivalGap& arrivals)
      : queue_(queue), balancer_(balancer), batching_(batching), admission_(admission), arrivals_(arrivals) {}

  NextStep next(TimeNs now);

  // The requests that next() spoke of, in deadline order.
  const BatchFront& front() const { return front_; }

 private:
  BalancerChoice choose(TimeNs now, WaitUntil& wait);

  BatchQueue& queue_;
  const Balancer& balancer_;
  const BatchPolicy& batching_;
  const AdmissionPolicy& admission_;
  const ArrivalGap& arrivals_;
  BatchFront front_;  // kept so that next() need not allocate
};

}  // namespace mark
