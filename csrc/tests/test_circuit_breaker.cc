#include <doctest/doctest.h>

#include <chrono>
#include <stdexcept>

#include "mark/circuit_breaker.h"

namespace mark {
namespace {

using namespace std::chrono_literals;

constexpr TimeNs kStart{};

void fail(CircuitBreaker& breaker, TimeNs now) { breaker.ended(breaker.sent(now), true, now); }
void succeed(CircuitBreaker& breaker, TimeNs now) { breaker.ended(breaker.sent(now), false, now); }

TEST_CASE("failures in a row open it, others do not") {
  CircuitBreaker breaker({.failures_max = 3, .open = 1s});
  for (int i = 0; i < 10; ++i) {
    fail(breaker, kStart);
    fail(breaker, kStart);
    succeed(breaker, kStart);
  }
  CHECK(breaker.state(kStart) == BreakerState::kClosed);
  for (int i = 0; i < 3; ++i) {
    CHECK(breaker.lets_through(kStart));
    fail(breaker, kStart);
  }
  CHECK(breaker.state(kStart) == BreakerState::kOpen);
  CHECK_FALSE(breaker.lets_through(kStart + 1s - 1ns));
  CHECK(breaker.state(kStart + 1s) == BreakerState::kHalfOpen);
}

TEST_CASE("half open, one call at a time goes through, and what it says decides") {
  CircuitBreaker breaker({.failures_max = 1, .open = 1s});
  fail(breaker, kStart);
  TimeNs now = kStart + 1s;
  const std::uint64_t probe = breaker.sent(now);
  CHECK_FALSE(breaker.lets_through(now));
  CHECK_FALSE(breaker.lets_through(now + 1h));  // for as long as it takes
  SUBCASE("an answer closes it") {
    breaker.ended(probe, false, now);
    CHECK(breaker.state(now) == BreakerState::kClosed);
    CHECK(breaker.lets_through(now));
    fail(breaker, now);  // the pause is short again
    CHECK(breaker.lets_through(now + 1s));
  }
  SUBCASE("each failure opens it for twice as long, up to 32 times") {
    breaker.ended(probe, true, now);
    for (const int times : {2, 4, 8, 16, 32, 32, 32}) {
      CHECK_FALSE(breaker.lets_through(now + times * 1s - 1ns));
      now += times * 1s;
      REQUIRE(breaker.lets_through(now));
      fail(breaker, now);
    }
  }
}

TEST_CASE("what was sent before it opened says nothing any more") {
  CircuitBreaker breaker({.failures_max = 2, .open = 1s});
  const std::uint64_t early = breaker.sent(kStart);
  const std::uint64_t late = breaker.sent(kStart);
  fail(breaker, kStart);
  fail(breaker, kStart);
  REQUIRE(breaker.state(kStart) == BreakerState::kOpen);
  breaker.ended(early, false, kStart);
  CHECK(breaker.state(kStart) == BreakerState::kOpen);
  const std::uint64_t probe = breaker.sent(kStart + 1s);
  breaker.ended(late, true, kStart + 1s);  // is not the probe
  CHECK(breaker.state(kStart + 1s) == BreakerState::kHalfOpen);
  CHECK_FALSE(breaker.lets_through(kStart + 1s));
  breaker.ended(probe, false, kStart + 1s);
  CHECK(breaker.state(kStart + 1s) == BreakerState::kClosed);
}

TEST_CASE("without a number of failures nothing opens it") {
  CircuitBreaker breaker({});
  for (int i = 0; i < 1000; ++i) {
    fail(breaker, kStart);
  }
  CHECK(breaker.lets_through(kStart));
}

TEST_CASE("what makes no sense is refused") {
  CHECK_THROWS_AS(CircuitBreaker({.failures_max = -1}), std::invalid_argument);
  CHECK_THROWS_AS(CircuitBreaker({.failures_max = 1}), std::invalid_argument);
}

}  // namespace
}  // namespace mark
