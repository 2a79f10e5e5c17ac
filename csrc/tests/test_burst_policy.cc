#include <doctest/doctest.h>

#include <chrono>
#include <limits>
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
  BurstTicket ticket;
  for (int i = 0; i < 2; ++i) {
    REQUIRE(verdict() == BurstVerdict::kSend);
    ticket = policy.sent(kStart);
  }
  CHECK(policy.in_flight() == 2);
  CHECK(verdict() == BurstVerdict::kAtLimit);
  CHECK(policy.decide(kStart, kStart) == BurstVerdict::kTooLate);  // whatever the limit
  policy.ended(ticket, false, 0, kStart);
  CHECK(policy.in_flight() == 1);
  CHECK(verdict() == BurstVerdict::kSend);
}

TEST_CASE("what is under way is taken to cost what one usually does, until it is known") {
  BurstPolicy policy({.latency = 40ms,
                      .concurrency_max = 10,
                      .usd_per_request = 1,
                      .limits = {.budget_usd_per_hour = 2.5, .breaker = {}}});
  const auto verdict = [&](TimeNs now) { return policy.decide(now + 100ms, now); };
  const BurstTicket first = policy.sent(kStart);
  const BurstTicket second = policy.sent(kStart);
  CHECK(policy.spent_usd(kStart) == 2);
  CHECK(verdict(kStart) == BurstVerdict::kOverBudget);
  policy.ended(first, false, 0.5, kStart + 1s);  // cheaper
  CHECK(policy.spent_usd(kStart + 1s) == 1.5);
  CHECK(verdict(kStart + 1s) == BurstVerdict::kSend);
  policy.ended(second, true, 2, kStart + 2min);  // dearer, in the minute in which it was sent
  CHECK(policy.spent_usd(kStart + 2min) == 2.5);
  CHECK(verdict(kStart + 60min) == BurstVerdict::kOverBudget);
  CHECK(verdict(kStart + 61min) == BurstVerdict::kSend);
}

TEST_CASE("an open breaker sends nothing, and one at a time afterwards") {
  BurstPolicy policy({.latency = 40ms,
                      .concurrency_max = 10,
                      .limits = {.budget_usd_per_hour = 100, .breaker = {.failures_max = 2, .open = 1s}}});
  const auto verdict = [&](TimeNs now) { return policy.decide(now + 100ms, now); };
  for (int i = 0; i < 2; ++i) {
    REQUIRE(verdict(kStart) == BurstVerdict::kSend);
    policy.ended(policy.sent(kStart), true, 0, kStart);
  }
  CHECK(policy.breaker(kStart) == BreakerState::kOpen);
  CHECK(verdict(kStart) == BurstVerdict::kBroken);
  REQUIRE(verdict(kStart + 1s) == BurstVerdict::kSend);
  const BurstTicket probe = policy.sent(kStart + 1s);
  CHECK(verdict(kStart + 1s) == BurstVerdict::kBroken);
  policy.ended(probe, false, 0, kStart + 2s);
  CHECK(policy.breaker(kStart + 2s) == BreakerState::kClosed);
  CHECK(verdict(kStart + 2s) == BurstVerdict::kSend);
}

TEST_CASE("what instances leave of a budget for all is a limit beside the functions' own") {
  BurstPolicy policy({.latency = 100ms, .concurrency_max = 10, .usd_per_request = 1, .limits = {}});
  policy.limit(1.5);
  CHECK(policy.decide(kStart + 1s, kStart) == BurstVerdict::kSend);
  policy.sent(kStart);
  CHECK(policy.decide(kStart + 1s, kStart) == BurstVerdict::kOverBudget);
  policy.limit(2);
  CHECK(policy.decide(kStart + 1s, kStart) == BurstVerdict::kSend);
  policy.limit(0);
  CHECK(policy.decide(kStart + 1s, kStart) == BurstVerdict::kOverBudget);
}

TEST_CASE("what makes no sense is refused") {
  const auto refused = [](const BurstParams& params) { CHECK_THROWS_AS(BurstPolicy{params}, std::invalid_argument); };
  refused({.latency = 0ms});
  refused({.latency = -1ms});
  refused({.latency = 1ms, .concurrency_max = 0});
  refused({.latency = 1ms, .usd_per_request = -1});
  refused({.latency = 1ms, .limits = {.budget_usd_per_hour = -1, .breaker = {}}});
  refused({.latency = 1ms, .limits = {.budget_usd_per_hour = std::numeric_limits<double>::quiet_NaN(), .breaker = {}}});
  refused({.latency = 1ms, .limits = {.breaker = {.failures_max = 1}}});
  refused({.latency = 1ms, .limits = {.breaker = {.failures_max = -1}}});
}

}  // namespace
}  // namespace mark
