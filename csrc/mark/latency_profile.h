// Predicted time of a batch on one offering: the one truth shared by batching, balancing, planning and simulation.
#pragma once

#include <vector>

#include "mark/types.h"

namespace mark {

struct ProfilePoint {
  int rows = 1;
  DurationNs latency{};  // the p99 of a measured batch of that many rows

  bool operator==(const ProfilePoint&) const = default;
};

// Piecewise linear between measured points, constant below the smallest, and extended by the last segment's slope above
// the largest. Monotone: a later point is never faster than an earlier one.
// Immutable, so it may be shared between threads.
class LatencyProfile {
 public:
  // Points in increasing rows; throws std::invalid_argument when empty, unordered, or not positive.
  explicit LatencyProfile(std::vector<ProfilePoint> points);

  DurationNs predict(int rows) const;
  int rows_measured_max() const { return points_.back().rows; }
  const std::vector<ProfilePoint>& points() const { return points_; }
  // Every latency that many times as long.
  LatencyProfile times(double factor) const;
  bool operator==(const LatencyProfile&) const = default;

 private:
  std::vector<ProfilePoint> points_;
};

}  // namespace mark
