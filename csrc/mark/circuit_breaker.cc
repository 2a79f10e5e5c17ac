#include "mark/circuit_breaker.h"

#include <algorithm>
#include <stdexcept>

namespace mark {
namespace {

constexpr int kPausesMax = 32;

}  // namespace

CircuitBreaker::CircuitBreaker(const BreakerParams& params) : params_(params) {
  if (params.failures_max < 0 || (params.failures_max > 0 && params.open <= DurationNs::zero())) {
    throw std::invalid_argument("circuit breaker: failures_max must be 0 or more, and open positive where it is not 0");
  }
}

BreakerState CircuitBreaker::state(TimeNs now) const {
  if (!open_until_) {
    return BreakerState::kClosed;
  }
  return now < *open_until_ ? BreakerState::kOpen : BreakerState::kHalfOpen;
}

bool CircuitBreaker::lets_through(TimeNs now) const {
  const BreakerState state_now = state(now);
  return state_now == BreakerState::kClosed || (state_now == BreakerState::kHalfOpen && !probing_);
}

std::uint64_t CircuitBreaker::sent(TimeNs now) {
  probing_ = state(now) == BreakerState::kHalfOpen;
  return life_;
}

void CircuitBreaker::ended(std::uint64_t life, bool failed, TimeNs now) {
  if (life != life_) {
    return;
  }
  if (!failed) {
    failures_ = 0;
    if (open_until_) {
      open_until_.reset();
      pauses_ = 1;
      probing_ = false;
      ++life_;
    }
    return;
  }
  if (open_until_) {
    pauses_ = std::min(2 * pauses_, kPausesMax);
    open(now);
  } else if (params_.failures_max > 0 && ++failures_ >= params_.failures_max) {
    open(now);
  }
}

void CircuitBreaker::open(TimeNs now) {
  open_until_ = now + params_.open * pauses_;
  failures_ = 0;
  probing_ = false;
  ++life_;
}

}  // namespace mark
