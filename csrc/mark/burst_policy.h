// Whether a request that no instance can answer in time goes to a serverless function: MArk's bouncer (USENIX ATC'19,
// section 4.1), which sends it there at once, as long as the function can still answer in time; within a limit on
// concurrency, a budget, and as long as functions answer at all.
#pragma once

#include <cstdint>
#include <limits>

#include "mark/circuit_breaker.h"
#include "mark/hourly_budget.h"
#include "mark/types.h"

namespace mark {

struct BurstLimits {
  double budget_usd_per_hour = std::numeric_limits<double>::infinity();
  BreakerParams breaker;

  static BurstLimits none() { return {}; }
};

struct BurstParams {
  DurationNs latency{};        // of a warm function for one request, its p99
  int concurrency_max = 1;     // requests that functions may have at once
  double usd_per_request = 0;  // what one is taken to cost until it is known
  BurstLimits limits = BurstLimits::none();
};

enum class BurstVerdict : std::uint8_t {
  kSend,
  kTooLate,     // not even a function would answer by the deadline
  kBroken,      // functions have failed in a row: the circuit breaker is open
  kAtLimit,     // as many requests as may be are with functions already
  kOverBudget,  // it would cost more than may be spent in an hour
};
inline constexpr int kBurstVerdicts = 5;

// What sent() hands out, and ended() takes back.
struct BurstTicket {
  TimeNs sent;
  std::uint64_t breaker_life = 0;
};

// Knows no function and no clock: told what was sent and what ended.
//
// Thread safety: none. `now` must not decrease.
// Invariant: in_flight() is sent() less ended() calls, from 0 to concurrency_max.
class BurstPolicy {
 public:
  explicit BurstPolicy(const BurstParams& params);  // throws std::invalid_argument on a nonsensical parameter

  BurstVerdict decide(TimeNs deadline, TimeNs now) const;
  BurstTicket sent(TimeNs now);  // after kSend
  // What it did cost replaces what it was taken to. A model's own error is no failure of the function.
  void ended(const BurstTicket& ticket, bool failed, double usd, TimeNs now);

  // From now on no more than that in any hour, whatever the budget is: what instances leave of a budget for all.
  void limit(double usd_per_hour) { budget_.limit(usd_per_hour); }

  int in_flight() const { return in_flight_; }
  double spent_usd(TimeNs now) const { return budget_.spent_usd(now); }  // in the last hour, what is under way included
  BreakerState breaker(TimeNs now) const { return breaker_.state(now); }
  double usd_per_request() const { return params_.usd_per_request; }

 private:
  BurstParams params_;
  HourlyBudget budget_;
  CircuitBreaker breaker_;
  int in_flight_ = 0;
};

}  // namespace mark
