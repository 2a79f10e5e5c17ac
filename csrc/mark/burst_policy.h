// Whether a request that no instance can answer in time goes to a serverless function: MArk's bouncer (USENIX ATC'19,
// section 4.1), which sends it there at once, as long as the function can still answer in time.
#pragma once

#include <cstdint>

#include "mark/types.h"

namespace mark {

struct BurstParams {
  DurationNs latency{};     // of a warm function for one request, its p99
  int concurrency_max = 1;  // requests that functions may have at once
};

enum class BurstVerdict : std::uint8_t {
  kSend,
  kTooLate,  // not even a function would answer by the deadline
  kAtLimit,  // as many requests as may be are with functions already
};

// Knows no function and no clock: told what was sent and what ended.
//
// Thread safety: none.
// Invariant: in_flight() is sent() less ended() calls, from 0 to concurrency_max.
class BurstPolicy {
 public:
  explicit BurstPolicy(const BurstParams& params);  // throws std::invalid_argument on a nonsensical parameter

  BurstVerdict decide(TimeNs deadline, TimeNs now) const;
  void sent() { ++in_flight_; }  // after kSend
  void ended() { --in_flight_; }
  int in_flight() const { return in_flight_; }

 private:
  BurstParams params_;
  int in_flight_ = 0;
};

}  // namespace mark
