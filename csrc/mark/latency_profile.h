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

// The smallest of the increasing sizes that holds so many rows; 0 where none does.
int next_size(const std::vector<int>& sizes, int rows);

// Piecewise linear between measured points, constant below the smallest, and extended by the last segment's slope above
// the largest. Monotone: a later point is never faster than an earlier one.
//
// It may be seen through allowed sizes: batches are padded to the next of them, and take as long as that. What is
// predicted and what is sent cannot differ then, for both are asked of the profile.
// Immutable, so it may be shared between threads.
class LatencyProfile {
 public:
  // Points in increasing rows; throws std::invalid_argument when empty, unordered, or not positive.
  explicit LatencyProfile(std::vector<ProfilePoint> points);

  DurationNs predict(int rows) const;
  int rows_measured_max() const { return points_.back().rows; }
  const std::vector<ProfilePoint>& points() const { return points_; }
  // This profile of a worker that is only sent batches of these sizes; of none: of any size, as it was. Throws
  // std::invalid_argument when they are not positive or do not increase.
  LatencyProfile padded_to(std::vector<int> sizes) const;
  const std::vector<int>& sizes() const { return sizes_; }  // increasing; empty: any
  // The size in which a batch of so many rows is sent: the smallest that holds it. 0 where any will do, or none does.
  int size_for(int rows) const { return sizes_.empty() ? 0 : next_size(sizes_, rows); }
  // Every latency that many times as long.
  LatencyProfile times(double factor) const;
  bool operator==(const LatencyProfile&) const = default;

 private:
  std::vector<ProfilePoint> points_;
  std::vector<int> sizes_;
};

}  // namespace mark
