// MArk's two constraints (USENIX ATC'19, section 4.3): the largest useful batch and the longest useful wait.
#pragma once

#include <optional>

#include "mark/latency_profile.h"
#include "mark/types.h"

namespace mark {

struct BatchLimits {
  int n_batch = 1;       // rows
  DurationNs w_batch{};  // the longest wait of a batch's first request
};

// Raises b from 1 while  W + T_b <= rt_max  and  W + T_b <= b / mu_nb  (mu_nb = 1 / T_1) leave W >= 0, and returns the
// last feasible b with the largest W that both allow. Empty when not even one row meets rt_max.
std::optional<BatchLimits> batch_limits(const LatencyProfile& profile, DurationNs rt_max, int rows_max);

// Rows per second that an instance sustains while a request that arrives just after a batch started still meets
// rt_max: the largest b / T_b with 2 T_b <= rt_max (one batch of waiting, one of service), or 1 / T_1 where only a
// single row fits. 0 when the offering cannot meet rt_max at all.
double capacity_rows_per_s(const LatencyProfile& profile, DurationNs rt_max, int rows_max);

}  // namespace mark
