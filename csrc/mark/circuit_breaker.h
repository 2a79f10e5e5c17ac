// Stops asking a service that does not answer, and finds out when it does again.
#pragma once

#include <cstdint>
#include <optional>

#include "mark/types.h"

namespace mark {

enum class BreakerState : std::uint8_t {
  kClosed,    // calls go through
  kOpen,      // none does
  kHalfOpen,  // one at a time does, to see
};

struct BreakerParams {
  int failures_max = 0;  // so many in a row open it; 0: nothing does
  DurationNs open{};     // for so long at first; twice as long after each probe that fails, up to 32 times
};

// Nygard's circuit breaker (Release It!, 2007). Counts calls in a row, in the order in which they end.
//
// Thread safety: none. `now` must not decrease.
// Invariant: what ends is heard only in the life in which it was sent; each change of state begins a new life, so that
// calls which began before it opened neither close it nor open it again.
class CircuitBreaker {
 public:
  explicit CircuitBreaker(const BreakerParams& params);  // throws std::invalid_argument on nonsense

  bool lets_through(TimeNs now) const;
  std::uint64_t sent(TimeNs now);  // after lets_through: the life that its end is reported with
  void ended(std::uint64_t life, bool failed, TimeNs now);
  BreakerState state(TimeNs now) const;

 private:
  void open(TimeNs now);

  BreakerParams params_;
  std::uint64_t life_ = 1;
  int failures_ = 0;  // in a row, while closed
  int pauses_ = 1;    // that it stays open for
  bool probing_ = false;
  std::optional<TimeNs> open_until_;  // empty while closed
};

}  // namespace mark
