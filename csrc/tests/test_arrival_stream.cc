#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <vector>

#include "mark/simulation/arrival_stream.h"

namespace mark {
namespace {

using namespace std::chrono_literals;
using Times = std::vector<std::int64_t>;
using Rates = std::vector<double>;

constexpr std::int64_t kSecondNs = 1'000'000'000;

// All that arrives before `until`.
Times take(ArrivalStream& arrivals, std::int64_t until_ns = std::numeric_limits<std::int64_t>::max()) {
  Times instants;
  while (arrivals.next() < TimeNs{DurationNs{until_ns}}) {
    instants.push_back(arrivals.next().time_since_epoch().count());
    arrivals.pop();
  }
  return instants;
}

Times drawn(std::uint64_t seed, const Times& ends_ns, const Rates& rates) {
  ArrivalStream arrivals(seed);
  arrivals.offer_rates(ends_ns, rates);
  return take(arrivals);
}

std::int64_t count_between(const Times& instants, std::int64_t from_ns, std::int64_t to_ns) {
  return std::count_if(instants.begin(), instants.end(), [&](std::int64_t at) { return at >= from_ns && at < to_ns; });
}

struct Moments {
  double mean = 0;
  double deviation = 0;
  double longer_than_mean = 0;  // share of gaps
};

Moments moments_of_gaps(const Times& instants) {
  std::vector<double> gaps;
  for (std::size_t i = 1; i < instants.size(); ++i) {
    gaps.push_back(static_cast<double>(instants[i] - instants[i - 1]));
  }
  const auto n = static_cast<double>(gaps.size());
  Moments found;
  for (const double gap : gaps) {
    found.mean += gap / n;
  }
  for (const double gap : gaps) {
    found.deviation += (gap - found.mean) * (gap - found.mean) / n;
    found.longer_than_mean += gap > found.mean ? 1 / n : 0;
  }
  found.deviation = std::sqrt(found.deviation);
  return found;
}

TEST_CASE("arrivals have the rate, and gaps that are exponential") {
  const Times instants = drawn(1, {50 * kSecondNs}, {1000.0});
  CHECK(static_cast<double>(instants.size()) == doctest::Approx(50'000).epsilon(0.01));
  const Moments gaps = moments_of_gaps(instants);
  CHECK(gaps.mean == doctest::Approx(1e6).epsilon(0.01));
  CHECK(gaps.deviation / gaps.mean == doctest::Approx(1).epsilon(0.02));
  CHECK(gaps.longer_than_mean == doctest::Approx(std::exp(-1)).epsilon(0.02));
}

TEST_CASE("counts of equal windows have a variance that equals their mean") {
  const Times instants = drawn(2, {100 * kSecondNs}, {500.0});
  constexpr int kWindows = 1000;
  std::vector<double> counts(kWindows);
  for (const std::int64_t at : instants) {
    counts[static_cast<std::size_t>(at / (kSecondNs / 10))] += 1;
  }
  double variance = 0;
  for (const double count : counts) {
    variance += (count - 50) * (count - 50) / kWindows;
  }
  CHECK(variance == doctest::Approx(50).epsilon(0.1));
}

TEST_CASE("a process that is cut into many short stretches is the same process") {
  Times ends;
  for (std::int64_t i = 1; i <= 100'000; ++i) {
    ends.push_back(i * kSecondNs / 2000);  // half a mean gap
  }
  const Times instants = drawn(3, ends, Rates(ends.size(), 1000.0));
  CHECK(static_cast<double>(instants.size()) == doctest::Approx(50'000).epsilon(0.02));
  const Moments gaps = moments_of_gaps(instants);
  CHECK(gaps.deviation / gaps.mean == doctest::Approx(1).epsilon(0.02));
}

TEST_CASE("each stretch has its own rate, and a rate of zero brings nothing") {
  const Times instants = drawn(4, {10 * kSecondNs, 30 * kSecondNs, 40 * kSecondNs}, {100.0, 0.0, 400.0});
  CHECK(std::is_sorted(instants.begin(), instants.end()));
  CHECK(count_between(instants, 0, 10 * kSecondNs) == doctest::Approx(1000).epsilon(0.1));
  CHECK(count_between(instants, 10 * kSecondNs, 30 * kSecondNs) == 0);
  CHECK(count_between(instants, 30 * kSecondNs, 40 * kSecondNs) == doctest::Approx(4000).epsilon(0.05));
  CHECK(drawn(4, {10 * kSecondNs, 20 * kSecondNs}, {0.0, 0.0}).empty());
}

TEST_CASE("the same seed draws the same instants, whenever the rates are offered; another seed others") {
  const Times ends = {kSecondNs, 2 * kSecondNs, 4 * kSecondNs, 5 * kSecondNs};
  const Rates rates = {50.0, 0.0, 200.0, 3.0};
  const Times whole = drawn(5, ends, rates);
  CHECK(whole != drawn(6, ends, rates));

  ArrivalStream ahead(5);
  for (std::size_t i = 0; i < ends.size(); ++i) {
    ahead.offer_rates({&ends[i], 1}, {&rates[i], 1});
  }
  CHECK(take(ahead) == whole);

  ArrivalStream later(5);
  Times instants;
  for (std::size_t i = 0; i < ends.size(); ++i) {
    later.offer_rates({&ends[i], 1}, {&rates[i], 1});
    const Times more = take(later);
    instants.insert(instants.end(), more.begin(), more.end());
  }
  CHECK(instants == whole);

  ArrivalStream midway(5);
  midway.offer_rates({ends.data(), 2}, {rates.data(), 2});
  instants = take(midway, kSecondNs / 2);
  midway.offer_rates({&ends[2], 2}, {&rates[2], 2});
  const Times more = take(midway);
  instants.insert(instants.end(), more.begin(), more.end());
  CHECK(instants == whole);
}

TEST_CASE("recorded instants come back as they are, equal ones included, after and before rates") {
  ArrivalStream arrivals(7);
  arrivals.offer_instants(Times{0, 5, 5, 70});
  CHECK(take(arrivals) == Times{0, 5, 5, 70});
  CHECK(arrivals.next() == TimeNs::max());
  arrivals.pop();
  CHECK(arrivals.next() == TimeNs::max());

  arrivals.offer_instants(Times{70, 90});
  arrivals.offer_rates(Times{kSecondNs}, Rates{100.0});
  arrivals.offer_instants(Times{kSecondNs, kSecondNs + 1});
  const Times rest = take(arrivals);
  CHECK(rest[0] == 70);
  CHECK(rest[1] == 90);
  CHECK(rest[2] > 90);
  CHECK(count_between(rest, 91, kSecondNs) == doctest::Approx(100).epsilon(0.3));
  CHECK(rest.back() == kSecondNs + 1);
  CHECK(rest[rest.size() - 2] == kSecondNs);
}

TEST_CASE("nothing is offered: nothing arrives") {
  ArrivalStream arrivals(8);
  CHECK(arrivals.next() == TimeNs::max());
  arrivals.offer_rates(Times{}, Rates{});
  arrivals.offer_instants(Times{});
  CHECK(arrivals.next() == TimeNs::max());
}

TEST_CASE("what makes no sense is refused") {
  ArrivalStream arrivals(9);
  constexpr double kInfinite = std::numeric_limits<double>::infinity();
  CHECK_THROWS_AS(arrivals.offer_rates(Times{1, 2}, Rates{1.0}), std::invalid_argument);
  CHECK_THROWS_AS(arrivals.offer_rates(Times{0}, Rates{1.0}), std::invalid_argument);
  CHECK_THROWS_AS(arrivals.offer_rates(Times{-1}, Rates{1.0}), std::invalid_argument);
  CHECK_THROWS_AS(arrivals.offer_instants(Times{-1}), std::invalid_argument);
  for (const double rate : {-1.0, kInfinite, std::numeric_limits<double>::quiet_NaN()}) {
    CHECK_THROWS_AS(arrivals.offer_rates(Times{1}, Rates{rate}), std::invalid_argument);
  }
  arrivals.offer_rates(Times{10}, Rates{0.0});
  CHECK_THROWS_AS(arrivals.offer_rates(Times{10}, Rates{1.0}), std::invalid_argument);
  CHECK_THROWS_AS(arrivals.offer_instants(Times{9}), std::invalid_argument);
}

TEST_CASE("an offer that is refused leaves the stream as it was") {
  ArrivalStream arrivals(10);
  CHECK_THROWS_AS(arrivals.offer_rates(Times{kSecondNs, 2 * kSecondNs}, Rates{100.0, -1.0}), std::invalid_argument);
  CHECK_THROWS_AS(arrivals.offer_instants(Times{7, 3}), std::invalid_argument);
  arrivals.offer_instants(Times{1});
  CHECK(take(arrivals) == Times{1});
}

}  // namespace
}  // namespace mark
