#include <doctest/doctest.h>

#include <chrono>
#include <cstddef>

#include "mark/burst_ledger.h"

namespace mark {
namespace {

using namespace std::chrono_literals;

constexpr TimeNs kStart{};

std::uint64_t count(const Statistics& statistics, Outcome outcome) {
  return statistics.ended[static_cast<std::size_t>(outcome)];
}

// What a dispatcher says of ten requests of which it answered six and refused four.
Statistics instances() {
  Statistics statistics;
  statistics.submitted_requests = 10;
  statistics.ended[static_cast<std::size_t>(Outcome::kAnswered)] = 6;
  statistics.ended[static_cast<std::size_t>(Outcome::kPredictedMiss)] = 3;
  statistics.ended[static_cast<std::size_t>(Outcome::kQueueFull)] = 1;
  for (int i = 0; i < 6; ++i) {
    statistics.latency.record(10ms);
  }
  return statistics;
}

TEST_CASE("an answered burst is an answer, and is counted once") {
  BurstLedger ledger(0ms);
  ledger.sent(Outcome::kPredictedMiss);
  ledger.sent(Outcome::kPredictedMiss);
  ledger.sent(Outcome::kQueueFull);
  Statistics whole = with_bursts(instances(), ledger.statistics());
  CHECK(whole.in_flight_requests == 3);
  CHECK(count(whole, Outcome::kPredictedMiss) == 1);
  CHECK(count(whole, Outcome::kQueueFull) == 0);

  ledger.answered(kStart, kStart + 100ms, kStart + 100ms);
  ledger.answered(kStart, kStart + 100ms, kStart + 100ms + 1ns);
  ledger.ended(Outcome::kWorkerLost);
  whole = with_bursts(instances(), ledger.statistics());
  CHECK(whole.submitted_requests == 10);
  CHECK(whole.in_flight_requests == 0);
  CHECK(count(whole, Outcome::kAnswered) == 7);
  CHECK(count(whole, Outcome::kLate) == 1);
  CHECK(count(whole, Outcome::kWorkerLost) == 1);
  CHECK(whole.attainment() == doctest::Approx(0.7));
  CHECK(whole.latency.count() == 8);
  CHECK(whole.latency.sum() == 260ms + 1ns);
  CHECK(whole.latency.quantile(0.99) > 90ms);
}

TEST_CASE("a function that takes nothing leaves everything as the dispatcher counted it") {
  BurstLedger ledger(0ms);
  ledger.decided(BurstVerdict::kBroken);
  ledger.decided(BurstVerdict::kSend);
  ledger.sent(Outcome::kQueueFull);
  ledger.ended(Outcome::kQueueFull);
  const Statistics whole = with_bursts(instances(), ledger.statistics());
  CHECK(whole.ended == instances().ended);
  CHECK(whole.in_flight_requests == 0);
  CHECK(ledger.statistics().decided[static_cast<std::size_t>(BurstVerdict::kBroken)] == 1);
}

TEST_CASE("a client that leaves within the margin of its deadline has waited in vain") {
  BurstLedger ledger(5ms);
  ledger.sent(Outcome::kPredictedMiss);
  ledger.sent(Outcome::kPredictedMiss);
  ledger.left(kStart + 100ms, kStart + 95ms - 1ns);
  ledger.left(kStart + 100ms, kStart + 95ms);
  const Statistics whole = with_bursts(instances(), ledger.statistics());
  CHECK(count(whole, Outcome::kCancelled) == 1);
  CHECK(count(whole, Outcome::kExpired) == 1);
  CHECK(whole.attainment() == doctest::Approx(6.0 / 9));
}

}  // namespace
}  // namespace mark
