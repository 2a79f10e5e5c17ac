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
  std::optional<BatchLimits> limits;
  for (int rows = 1; rows <= rows_max; ++rows) {
    const DurationNs wait = std::min(rt_max, rows * one_row) - profile.predict(rows);
    if (wait < DurationNs::zero()) {
      break;
    }
    limits = BatchLimits{rows, wait};
  }
  return limits;
}

double capacity_rows_per_s(const LatencyProfile& profile, DurationNs rt_max, int rows_max) {
  check_rows_max(rows_max);
  const auto rate = [&](int rows) { return rows / std::chrono::duration<double>(profile.predict(rows)).count(); };
  double best = profile.predict(1) <= rt_max ? rate(1) : 0.0;
  for (int rows = 1; rows <= rows_max && 2 * profile.predict(rows) <= rt_max; ++rows) {
    best = std::max(best, rate(rows));
  }
  return best;
}

}  // namespace mark
