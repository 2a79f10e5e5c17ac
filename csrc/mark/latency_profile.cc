#include "mark/latency_profile.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <utility>

namespace mark {
namespace {

// No batch is worth predicting beyond a day; the cap keeps sums of times far from the end of the 64-bit line.
constexpr DurationNs kLatencyMax = std::chrono::hours{24};

void check(const std::vector<ProfilePoint>& points) {
  if (points.empty()) {
    throw std::invalid_argument("latency profile: no points; measure at least one batch size");
  }
  int rows_before = 0;
  for (std::size_t i = 0; i < points.size(); ++i) {
    const std::string where = "latency profile: point " + std::to_string(i);
    if (points[i].rows <= rows_before) {
      throw std::invalid_argument(where + " has " + std::to_string(points[i].rows) + " rows after " +
                                  std::to_string(rows_before) + "; rows must be positive and increase");
    }
    if (points[i].latency <= DurationNs::zero() || points[i].latency > kLatencyMax) {
      throw std::invalid_argument(where + " has a latency of " + std::to_string(points[i].latency.count()) +
                                  " ns; it must lie between 1 ns and 24 h");
    }
    rows_before = points[i].rows;
  }
}

void check_sizes(const std::vector<int>& sizes) {
  int size_before = 0;
  for (const int size : sizes) {
    if (size <= size_before) {
      throw std::invalid_argument("latency profile: size " + std::to_string(size) + " after " +
                                  std::to_string(size_before) + "; sizes must be positive and increase");
    }
    size_before = size;
  }
}

}  // namespace

int next_size(const std::vector<int>& sizes, int rows) {
  const auto size = std::lower_bound(sizes.begin(), sizes.end(), rows);
  return size == sizes.end() ? 0 : *size;
}

LatencyProfile::LatencyProfile(std::vector<ProfilePoint> points) : points_(std::move(points)) {
  check(points_);
  DurationNs slowest{};
  for (ProfilePoint& point : points_) {
    slowest = std::max(slowest, point.latency);
    point.latency = slowest;
  }
}

DurationNs LatencyProfile::predict(int rows) const {
  if (rows < 1) {
    throw std::invalid_argument("latency profile: cannot predict a batch of " + std::to_string(rows) +
                                " rows; ask for 1 or more");
  }
  rows = std::max(rows, size_for(rows));
  auto to = std::lower_bound(points_.begin(), points_.end(), rows,
                             [](const ProfilePoint& point, int wanted) { return point.rows < wanted; });
  if (to == points_.end()) {
    --to;
  }
  // Fewer rows than were ever measured are not taken to be faster.
  if (rows <= points_.front().rows) {
    return points_.front().latency;
  }
  // The last segment never ends; that of a single point starts at the origin.
  const ProfilePoint from = to == points_.begin() ? ProfilePoint{0, DurationNs::zero()} : *(to - 1);
  const double slope_ns = static_cast<double>((to->latency - from.latency).count()) / (to->rows - from.rows);
  const double latency_ns = static_cast<double>(from.latency.count()) + slope_ns * (rows - from.rows);
  if (latency_ns >= static_cast<double>(kLatencyMax.count())) {
    return kLatencyMax;
  }
  return DurationNs{std::max<std::int64_t>(1, std::llround(latency_ns))};
}

LatencyProfile LatencyProfile::times(double factor) const {
  std::vector<ProfilePoint> scaled = points_;
  for (ProfilePoint& point : scaled) {
    const double latency_ns = factor * static_cast<double>(point.latency.count());
    point.latency = DurationNs{std::max<std::int64_t>(1, std::llround(latency_ns))};
    point.latency = std::min(point.latency, kLatencyMax);
  }
  return LatencyProfile(std::move(scaled)).padded_to(sizes_);
}

LatencyProfile LatencyProfile::padded_to(std::vector<int> sizes) const {
  check_sizes(sizes);
  LatencyProfile padded = *this;
  padded.sizes_ = std::move(sizes);
  return padded;
}

}  // namespace mark
