#include <doctest/doctest.h>

#include <chrono>
#include <cstdint>
#include <vector>

#include "mark/simulation/tally.h"

namespace mark {
namespace {

using namespace std::chrono_literals;
using Counts = std::vector<std::uint64_t>;

TimeNs at(DurationNs since_start) { return TimeNs{since_start}; }

TEST_CASE("requests are counted in the bin in which they arrived, whenever they end") {
  Tally tally(1min, at(0s));
  for (const DurationNs arrival : {0s, 59s, 60s, 200s}) {
    tally.offered(at(arrival));
  }
  CHECK(tally.offered() == 4);
  CHECK(tally.offered_by_bin() == Counts{2, 1, 0, 1});
  tally.answered(Ending::kInstance, at(59s), at(61s));
  tally.burst(at(60s));
  tally.answered(Ending::kServerless, at(60s), at(300s));
  CHECK(tally.in_time_by_bin() == Counts{1, 1});
  CHECK(tally.burst_by_bin() == Counts{0, 1});
  CHECK(tally.latency().count() == 2);
  CHECK(tally.latency().sum() == 242s);
}

TEST_CASE("each ending has its count, and only those in time are in time") {
  Tally tally(1s, at(0s));
  tally.answered(Ending::kInstance, at(0s), at(1s));
  tally.answered(Ending::kServerless, at(0s), at(1s));
  tally.answered(Ending::kLate, at(0s), at(1s));
  tally.answered(Ending::kLate, at(0s), at(2s));
  tally.unanswered(Ending::kRefused, at(0s));
  tally.unanswered(Ending::kShed, at(0s));
  CHECK(tally.ended(Ending::kInstance) == 1);
  CHECK(tally.ended(Ending::kServerless) == 1);
  CHECK(tally.ended(Ending::kLate) == 2);
  CHECK(tally.ended(Ending::kRefused) == 1);
  CHECK(tally.ended(Ending::kShed) == 1);
  CHECK(tally.in_time_by_bin() == Counts{2});
  CHECK(tally.latency().count() == 4);  // refused ones have none
}

TEST_CASE("what arrives before the beginning is not counted, even if it ends after") {
  Tally tally(1min, at(100s));
  tally.offered(at(100s) - 1ns);
  tally.burst(at(0s));
  tally.answered(Ending::kInstance, at(99s), at(101s));
  tally.answered(Ending::kLate, at(99s), at(200s));
  tally.unanswered(Ending::kRefused, at(99s));
  CHECK(tally.offered() == 0);
  CHECK(tally.offered_by_bin().empty());
  CHECK(tally.burst_by_bin().empty());
  CHECK(tally.in_time_by_bin().empty());
  CHECK(tally.latency().count() == 0);
  for (const Ending ending : {Ending::kInstance, Ending::kServerless, Ending::kRefused, Ending::kLate, Ending::kShed}) {
    CHECK(tally.ended(ending) == 0);
  }
  tally.offered(at(100s));  // bins begin there
  tally.offered(at(160s));
  CHECK(tally.offered_by_bin() == Counts{1, 1});
}

}  // namespace
}  // namespace mark
