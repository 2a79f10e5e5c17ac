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
// n_sustained is sustained_rows() of a worker alone.
std::optional<BatchLimits> batch_limits(const LatencyProfile& profile, DurationNs rt_max, int rows_max);

// Of the b up to n_batch, the one with the largest b / T_b that lets a request which comes just too late for a batch
// still meet rt_max:  wait + T_b <= rt_max, where the wait is T_b. Where not even one row does that, the other workers
// are what the SLO is kept by, and the wait is twice T_b / workers: until another of so many alike ones is free, if
// they take turns, and as long again because they do not do so evenly. 1 where no b does,
// or the smallest size, where one row is padded to that.
int sustained_rows(const LatencyProfile& profile, DurationNs rt_max, int n_batch, int workers);

// Rows per second that an instance sustains in batches of n_sustained rows: what the dispatcher reckons with, and so
// what a fleet is sized by. 0 when the offering cannot meet rt_max at all.
double capacity_rows_per_s(const LatencyProfile& profile, DurationNs rt_max, int rows_max);

}  // namespace mark
