// A cloud's serverless functions as they behave: warm and cold ones, a limit on how fast they multiply, a price.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>

#include "mark/function_price.h"
#include "mark/types.h"

namespace mark {

struct FunctionPoolParams {
  DurationNs latency{};          // of a warm one, its p99
  DurationNs cold_start{};       // that a cold one takes longer; billed like the rest
  DurationNs idle_max{};         // a function that is idle for longer is gone
  int keep_warm = 0;             // so many are pinged so often that they stay
  DurationNs ping_interval{};    // of those
  int concurrency_max = 1;       // functions in all
  double cold_starts_burst = 1;  // cold starts that may happen at once
  double cold_starts_per_s = 1;  // and as they go on
  FunctionPrice price;
};

struct FunctionStart {
  bool cold = false;
};

// Thread safety: none. `now` must not decrease.
// Invariant: busy_ + idle_.size() + the kept ones that are idle make up the functions that exist.
class FunctionPool {
 public:
  FunctionPool(const FunctionPoolParams& params, TimeNs now);  // throws std::invalid_argument on nonsense

  // Takes a function for a request, the one used last first; empty when the cloud refuses (throttled).
  std::optional<FunctionStart> start(TimeNs now);
  // It answered after `ran`, which is billed.
  void finish(DurationNs ran, TimeNs now);

  const FunctionPoolParams& params() const { return params_; }
  std::uint64_t cold_starts() const { return cold_starts_; }
  double usd(TimeNs now) const;  // requests, durations and pings so far

 private:
  void expire(TimeNs now);

  FunctionPoolParams params_;
  TimeNs begun_;
  std::deque<TimeNs> idle_;  // since when, beside the kept ones; the one used last at the back
  int kept_idle_;
  int busy_ = 0;
  int busy_kept_ = 0;
  double tokens_;  // cold starts that may happen now
  TimeNs tokens_at_;
  std::uint64_t cold_starts_ = 0;
  double spent_usd_ = 0;
};

}  // namespace mark
