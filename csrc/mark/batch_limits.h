// MArk's two constraints (USENIX ATC'19, section 4.3): the largest useful batch and the longest useful wait.
#pragma once

#include <optional>

#include "mark/latency_profile.h"
#include "mark/types.h"

namespace mark {

struct BatchLimits {
  int n_batch = 1;       // rows
  DurationNs w_batch{};  // the longest wait of a batch's first request
  int n_sustained = 1;   // rows of the batches in which a worker under full load serves most
};

// The largest b for which  W + T_b <= rt_max  and  W + T_b <= b / mu_nb  (mu_nb = 1 / T_1) leave W >= 0, with the
// largest W that both allow. MArk stops at the first b that fails; here a b beyond it may do, for one noisy point of a
// profile must not halve a worker. Empty when not even one row meets rt_max.
//
// n_sustained is the b up to n_batch with the largest b / T_b that lets a request which arrives just after a batch
// started still meet rt_max: 2 T_b <= rt_max, one batch of waiting and one of service. It is 1 where no b does.
std::optional<BatchLimits> batch_limits(const LatencyProfile& profile, DurationNs rt_max, int rows_max);

// Rows per second that an instance sustains in batches of n_sustained rows: what the dispatcher reckons with, and so
// what a fleet is sized by. 0 when the offering cannot meet rt_max at all.
double capacity_rows_per_s(const LatencyProfile& profile, DurationNs rt_max, int rows_max);

}  // namespace mark
