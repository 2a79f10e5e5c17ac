// Latencies in buckets whose width is a fixed share of their value.
#pragma once

#include <array>
#include <cstdint>

#include "mark/distribution.h"
#include "mark/types.h"

namespace mark {

// Buckets are powers of two cut into 32 equal parts, from 1 us to about 70 minutes: a quantile is read to within 3.2 %.
// A copyable value; recording is a few instructions and never allocates.
class LatencyHistogram {
 public:
  static constexpr int kParts = 32;
  static constexpr int kOctaves = 32;
  static constexpr int kBuckets = kOctaves * kParts;

  void record(DurationNs latency);
  void add(const LatencyHistogram& other);  // as if what it recorded had been recorded here
  // The upper edge of the bucket that holds the q-quantile, 0 <= q <= 1; zero when nothing was recorded.
  DurationNs quantile(double q) const;
  std::uint64_t count() const { return count_; }
  DurationNs sum() const { return sum_; }
  const std::array<std::uint64_t, kBuckets>& buckets() const { return buckets_; }
  // In seconds, between bounds that are edges of buckets, so that nothing is guessed: two for each power of two, from
  // 64 us to 16.8 s.
  Distribution distribution() const;
  static DurationNs upper_edge(int bucket);

 private:
  static int bucket_of(DurationNs latency);

  std::array<std::uint64_t, kBuckets> buckets_{};
  std::uint64_t count_ = 0;
  DurationNs sum_{};
};

}  // namespace mark
