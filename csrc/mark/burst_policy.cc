#include "mark/burst_policy.h"

#include <stdexcept>

namespace mark {

BurstPolicy::BurstPolicy(const BurstParams& params) : params_(params) {
  if (params.latency <= DurationNs::zero() || params.concurrency_max < 1) {
    throw std::invalid_argument("burst policy: latency must be positive and concurrency_max 1 or more");
  }
}

BurstVerdict BurstPolicy::decide(TimeNs deadline, TimeNs now) const {
  if (now + params_.latency > deadline) {
    return BurstVerdict::kTooLate;
  }
  return in_flight_ < params_.concurrency_max ? BurstVerdict::kSend : BurstVerdict::kAtLimit;
}

}  // namespace mark
