#include <doctest/doctest.h>

#include <chrono>
#include <stdexcept>

#include "mark/burst_policy.h"

namespace mark {
namespace {

using namespace std::chrono_literals;

constexpr TimeNs kStart{};

TEST_CASE("a request goes to a function as long as that answers by the deadline") {
  const BurstPolicy policy({.latency = 40ms, .concurrency_max = 1});
  CHECK(policy.decide(kStart + 100ms, kStart) == BurstVerdict::kSend);
  CHECK(policy.decide(kStart + 100ms, kStart + 60ms) == BurstVerdict::kSend);
  CHECK(policy.decide(kStart + 100ms, kStart + 60ms + 1ns) == BurstVerdict::kTooLate);
  CHECK(policy.decide(kStart, kStart + 1s) == BurstVerdict::kTooLate);
}

TEST_CASE("no more requests are with functions than may be, and each that ends makes room") {
  BurstPolicy policy({.latency = 40ms, .concurrency_max = 2});
  const auto verdict = [&] { return policy.decide(kStart + 100ms, kStart); };
  for (int i = 0; i < 2; ++i) {
    REQUIRE(verdict() == BurstVerdict::kSend);
    policy.sent();
  }
  CHECK(policy.in_flight() == 2);
  CHECK(verdict() == BurstVerdict::kAtLimit);
  CHECK(policy.decide(kStart, kStart) == BurstVerdict::kTooLate);  // whatever the limit
  policy.ended();
  CHECK(policy.in_flight() == 1);
  CHECK(verdict() == BurstVerdict::kSend);
}

TEST_CASE("what makes no sense is refused") {
  CHECK_THROWS_AS(BurstPolicy({.latency = 0ms, .concurrency_max = 1}), std::invalid_argument);
  CHECK_THROWS_AS(BurstPolicy({.latency = -1ms, .concurrency_max = 1}), std::invalid_argument);
  CHECK_THROWS_AS(BurstPolicy({.latency = 1ms, .concurrency_max = 0}), std::invalid_argument);
}

}  // namespace
}  // namespace mark
