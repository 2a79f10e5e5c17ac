#include "mark/batch_limits.h"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace mark {
namespace {

void check_rows_max(int rows_max) {
  if (rows_max < 1) {
    throw std::invalid_argument("rows_max is " + std::to_string(rows_max) + "; a batch holds at least 1 row");
  }
}

}  // namespace

std::optional<BatchLimits> batch_limits(const LatencyProfile& profile, DurationNs rt_max, int rows_max) {
  check_rows_max(rows_max);
  const DurationNs one_row = profile.predict(1);
  if (one_row > rt_max) {
    return std::nullopt;
  }
  BatchLimits limits;
  for (int rows = 1; rows <= rows_max && profile.predict(rows) <= rt_max; ++rows) {
    const DurationNs latency = profile.predict(rows);
    const DurationNs wait = std::min(rt_max, rows * one_row) - latency;
    if (wait < DurationNs::zero()) {
      continue;
    }
    limits.n_batch = rows;
    limits.w_batch = wait;
  }
  limits.n_sustained = sustained_rows(profile, rt_max, limits.n_batch, 1);
  return limits;
}

int sustained_rows(const LatencyProfile& profile, DurationNs rt_max, int n_batch, int workers) {
  const DurationNs one_row = profile.predict(1);
  const bool alone = 2 * one_row <= rt_max;
  int best = std::clamp(profile.size_for(1), 1, n_batch);
  double best_rows_per_ns = 0;
  for (int rows = 1; rows <= n_batch; ++rows) {
    const DurationNs latency = profile.predict(rows);
    const DurationNs wait = alone ? latency : std::min(latency, 2 * latency / workers);
    const double rows_per_ns = rows / static_cast<double>(latency.count());
    if (wait + latency <= rt_max && rows_per_ns > best_rows_per_ns) {
      best = rows;
      best_rows_per_ns = rows_per_ns;
    }
  }
  return best;
}

double capacity_rows_per_s(const LatencyProfile& profile, DurationNs rt_max, int rows_max) {
  const std::optional<BatchLimits> limits = batch_limits(profile, rt_max, rows_max);
  if (!limits) {
    return 0.0;
  }
  return limits->n_sustained / std::chrono::duration<double>(profile.predict(limits->n_sustained)).count();
}

}  // namespace mark
