#include "mark/burst_policy.h"

#include <stdexcept>

namespace mark {

BurstPolicy::BurstPolicy(const BurstParams& params)
    : params_(params), budget_(params.limits.budget_usd_per_hour), breaker_(params.limits.breaker) {
  if (params.latency <= DurationNs::zero() || params.concurrency_max < 1 || !(params.usd_per_request >= 0)) {
    throw std::invalid_argument(
        "burst policy: latency must be positive, concurrency_max 1 or more and usd_per_request not negative");
  }
}

BurstVerdict BurstPolicy::decide(TimeNs deadline, TimeNs now) const {
  if (now + params_.latency > deadline) {
    return BurstVerdict::kTooLate;
  }
  if (!breaker_.lets_through(now)) {
    return BurstVerdict::kBroken;
  }
  if (in_flight_ >= params_.concurrency_max) {
    return BurstVerdict::kAtLimit;
  }
  return budget_.affords(params_.usd_per_request, now) ? BurstVerdict::kSend : BurstVerdict::kOverBudget;
}

BurstTicket BurstPolicy::sent(TimeNs now) {
  ++in_flight_;
  budget_.spend(params_.usd_per_request, now);
  return {.sent = now, .breaker_life = breaker_.sent(now)};
}

void BurstPolicy::ended(const BurstTicket& ticket, bool failed, double usd, TimeNs now) {
  --in_flight_;
  budget_.spend(usd - params_.usd_per_request, ticket.sent);
  breaker_.ended(ticket.breaker_life, failed, now);
}

}  // namespace mark
