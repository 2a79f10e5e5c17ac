#include <doctest/doctest.h>

#include <chrono>
#include <stdexcept>

#include "mark/latency_histogram.h"

namespace mark {
namespace {

using namespace std::chrono_literals;

TEST_CASE("an empty histogram has the quantile zero") { CHECK(LatencyHistogram{}.quantile(0.99) == 0ns); }

TEST_CASE("a quantile lies above its latency by at most a 32nd") {
  for (DurationNs latency = 1us; latency < 70min; latency += latency / 7 + 1ns) {
    LatencyHistogram histogram;
    histogram.record(latency);
    CHECK(histogram.quantile(0.5) > latency);
    CHECK(histogram.quantile(0.5) <= latency + latency / 32 + 2ns);
  }
}

TEST_CASE("the edges increase, and each is the first latency of the next bucket") {
  for (int bucket = 0; bucket + 1 < LatencyHistogram::kBuckets; ++bucket) {
    REQUIRE(LatencyHistogram::upper_edge(bucket) < LatencyHistogram::upper_edge(bucket + 1));
    LatencyHistogram histogram;
    histogram.record(LatencyHistogram::upper_edge(bucket));
    REQUIRE(histogram.buckets()[static_cast<std::size_t>(bucket) + 1] == 1);
    LatencyHistogram below;
    below.record(LatencyHistogram::upper_edge(bucket) - 1ns);
    REQUIRE(below.buckets()[static_cast<std::size_t>(bucket)] == 1);
  }
}

TEST_CASE("latencies outside the range are counted in the outer buckets") {
  LatencyHistogram histogram;
  histogram.record(-5ns);
  histogram.record(0ns);
  histogram.record(24h);
  CHECK(histogram.buckets().front() == 2);
  CHECK(histogram.buckets().back() == 1);
  CHECK(histogram.count() == 3);
  CHECK(histogram.sum() == 24h - 5ns);
}

TEST_CASE("quantiles count by rank") {
  LatencyHistogram histogram;
  for (int i = 1; i <= 100; ++i) {
    histogram.record(i * 1ms);
  }
  CHECK(histogram.quantile(0.0) < 1100us);
  CHECK(histogram.quantile(0.5) > 50ms);
  CHECK(histogram.quantile(0.5) < 52ms);
  CHECK(histogram.quantile(1.0) > 100ms);
  CHECK_THROWS_AS(histogram.quantile(1.5), std::invalid_argument);
  CHECK_THROWS_AS(LatencyHistogram::upper_edge(LatencyHistogram::kBuckets), std::invalid_argument);
}

}  // namespace
}  // namespace mark
