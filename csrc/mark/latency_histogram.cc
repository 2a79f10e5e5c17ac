#include "mark/latency_histogram.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <functional>
#include <numeric>
#include <stdexcept>
#include <string>

namespace mark {
namespace {

constexpr std::uint64_t kSmallestNs = 1000;
constexpr std::uint64_t kPartsUnsigned = LatencyHistogram::kParts;

// Of distribution(): buckets up to each bound, and up to the first and the last.
constexpr int kStride = LatencyHistogram::kParts / 2;
constexpr int kFirstBound = 6 * LatencyHistogram::kParts;
constexpr int kLastBound = 24 * LatencyHistogram::kParts;

}  // namespace

int LatencyHistogram::bucket_of(DurationNs latency) {
  const auto ns = static_cast<std::uint64_t>(std::max(latency, DurationNs::zero()).count());
  if (ns < kSmallestNs) {
    return 0;
  }
  const std::uint64_t octave = static_cast<std::uint64_t>(std::bit_width(ns / kSmallestNs)) - std::uint64_t{1};
  if (octave >= std::uint64_t{kOctaves}) {
    return kBuckets - 1;
  }
  // Scaled before the shift, so that the edges between parts are met exactly.
  const std::uint64_t scaled = (ns * kPartsUnsigned) >> octave;
  return static_cast<int>(octave * kPartsUnsigned + scaled / kSmallestNs - kPartsUnsigned);
}

DurationNs LatencyHistogram::upper_edge(int bucket) {
  if (bucket < 0 || bucket >= kBuckets) {
    throw std::invalid_argument("latency histogram: there is no bucket " + std::to_string(bucket));
  }
  const std::uint64_t octave = static_cast<std::uint64_t>(bucket) / kPartsUnsigned;
  const std::uint64_t part = static_cast<std::uint64_t>(bucket) % kPartsUnsigned;
  const std::uint64_t scaled = ((kPartsUnsigned + part + 1) * kSmallestNs) << octave;
  return DurationNs{static_cast<std::int64_t>((scaled + kPartsUnsigned - 1) / kPartsUnsigned)};
}

void LatencyHistogram::add(const LatencyHistogram& other) {
  std::transform(buckets_.begin(), buckets_.end(), other.buckets_.begin(), buckets_.begin(), std::plus<>());
  count_ += other.count_;
  sum_ += other.sum_;
}

void LatencyHistogram::record(DurationNs latency) {
  ++buckets_[static_cast<std::size_t>(bucket_of(latency))];
  ++count_;
  sum_ += latency;
}

Distribution LatencyHistogram::distribution() const {
  Distribution distribution;
  distribution.sum = std::chrono::duration<double>(sum_).count();
  distribution.bounds.reserve(1 + (kLastBound - kFirstBound) / kStride);
  distribution.counts.reserve(distribution.bounds.capacity() + 1);
  auto counted = buckets_.begin();
  const auto count_to = [&](auto end) {
    distribution.counts.push_back(std::accumulate(counted, end, std::uint64_t{0}));
    counted = end;
  };
  for (int bound = kFirstBound; bound <= kLastBound; bound += kStride) {
    distribution.bounds.push_back(std::chrono::duration<double>(upper_edge(bound - 1)).count());
    count_to(buckets_.begin() + bound);
  }
  count_to(buckets_.end());
  return distribution;
}

DurationNs LatencyHistogram::quantile(double q) const {
  if (!(q >= 0.0 && q <= 1.0)) {
    throw std::invalid_argument("latency histogram: a quantile lies between 0 and 1, not at " + std::to_string(q));
  }
  if (count_ == 0) {
    return DurationNs::zero();
  }
  const auto rank = std::max<std::uint64_t>(1, static_cast<std::uint64_t>(std::ceil(q * static_cast<double>(count_))));
  std::uint64_t seen = 0;
  int bucket = 0;
  for (; bucket < kBuckets - 1; ++bucket) {
    seen += buckets_[static_cast<std::size_t>(bucket)];
    if (seen >= rank) {
      break;
    }
  }
  return upper_edge(bucket);
}

}  // namespace mark
