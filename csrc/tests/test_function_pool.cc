#include <doctest/doctest.h>

#include <chrono>
#include <functional>
#include <optional>
#include <stdexcept>

#include "mark/simulation/function_pool.h"

namespace mark {
namespace {

using namespace std::chrono_literals;

constexpr TimeNs kStart{};

TimeNs at(DurationNs since_start) { return kStart + since_start; }

FunctionPoolParams params_of(int concurrency_max) {
  FunctionPoolParams params;
  params.latency = 50ms;
  params.cold_start = 2s;
  params.idle_max = 10min;
  params.concurrency_max = concurrency_max;
  params.cold_starts_burst = concurrency_max;
  params.cold_starts_per_s = 0;
  return params;
}

enum class Started { kWarm, kCold, kRefused };

Started start(FunctionPool& pool, TimeNs now) {
  const std::optional<FunctionStart> started = pool.start(now);
  if (!started) {
    return Started::kRefused;
  }
  return started->cold ? Started::kCold : Started::kWarm;
}

TEST_CASE("the first request finds a cold function, the next one the same one warm") {
  FunctionPool pool(params_of(10), kStart);
  CHECK(start(pool, kStart) == Started::kCold);
  pool.finish(2050ms, at(3s));
  CHECK(start(pool, at(3s)) == Started::kWarm);
  CHECK(start(pool, at(3s)) == Started::kCold);
  CHECK(pool.cold_starts() == 2);
}

TEST_CASE("a function that is idle for longer than it is kept is gone") {
  FunctionPool pool(params_of(10), kStart);
  start(pool, kStart);
  pool.finish(50ms, at(1s));
  CHECK(start(pool, at(10min + 1s)) == Started::kWarm);
  pool.finish(50ms, at(11min));
  CHECK(start(pool, at(21min) + 1ns) == Started::kCold);
}

TEST_CASE("the one used last is used first, so that the others are gone when fewer are needed") {
  FunctionPool pool(params_of(10), kStart);
  for (int i = 0; i < 3; ++i) {
    start(pool, kStart);
  }
  pool.finish(50ms, at(1min));
  pool.finish(50ms, at(2min));
  pool.finish(50ms, at(3min));
  // One request a minute keeps one function, the last, and lets the other two expire.
  for (DurationNs now = 4min; now < 20min; now += 1min) {
    CHECK(start(pool, at(now)) == Started::kWarm);
    pool.finish(50ms, at(now));
  }
  CHECK(start(pool, at(20min)) == Started::kWarm);
  CHECK(start(pool, at(20min)) == Started::kCold);
  CHECK(pool.cold_starts() == 4);
}

TEST_CASE("those that are kept warm never expire, and are warm from the start") {
  FunctionPoolParams params = params_of(10);
  params.keep_warm = 2;
  params.ping_interval = 5min;
  FunctionPool pool(params, kStart);
  for (const DurationNs now : {0h, 10h, 1000h}) {
    CHECK(start(pool, at(now)) == Started::kWarm);
    CHECK(start(pool, at(now)) == Started::kWarm);
    CHECK(start(pool, at(now)) == Started::kCold);
    for (int i = 0; i < 3; ++i) {
      pool.finish(50ms, at(now) + 1s);
    }
  }
  CHECK(pool.cold_starts() == 3);
}

TEST_CASE("no more functions than the limit, kept, idle and busy ones together") {
  FunctionPoolParams params = params_of(3);
  params.cold_starts_burst = 100;
  params.keep_warm = 1;
  params.ping_interval = 5min;
  FunctionPool pool(params, kStart);
  CHECK(start(pool, kStart) == Started::kWarm);
  CHECK(start(pool, kStart) == Started::kCold);
  CHECK(start(pool, kStart) == Started::kCold);
  CHECK(start(pool, kStart) == Started::kRefused);
  pool.finish(50ms, at(1s));
  CHECK(start(pool, at(1s)) == Started::kWarm);
  CHECK(start(pool, at(1s)) == Started::kRefused);
  CHECK(pool.cold_starts() == 2);
}

TEST_CASE("cold starts come at once up to the burst, and then at their rate") {
  FunctionPoolParams params = params_of(1000);
  params.cold_starts_burst = 3;
  params.cold_starts_per_s = 2;
  FunctionPool pool(params, kStart);
  const auto cold_starts_at = [&](DurationNs now) {
    int count = 0;
    while (start(pool, at(now)) == Started::kCold) {
      ++count;
    }
    return count;
  };
  CHECK(cold_starts_at(0s) == 3);
  CHECK(cold_starts_at(499ms) == 0);
  CHECK(cold_starts_at(500ms) == 1);
  CHECK(cold_starts_at(1500ms) == 2);
  CHECK(cold_starts_at(1h) == 3);  // what was not used is not saved beyond the burst
  CHECK(pool.cold_starts() == 9);
}

TEST_CASE("refused ones are tried in vain without delaying the next cold start") {
  FunctionPoolParams params = params_of(10);
  params.cold_starts_burst = 1;
  params.cold_starts_per_s = 1;
  FunctionPool pool(params, kStart);
  start(pool, kStart);
  for (DurationNs now = 1ms; now < 999ms; now += 1ms) {
    CHECK(start(pool, at(now)) == Started::kRefused);
  }
  CHECK(start(pool, at(1001ms)) == Started::kCold);
}

TEST_CASE("a request costs its price and its duration, in whole quanta") {
  FunctionPoolParams params = params_of(10);
  params.price.quantum = 100ms;
  params.price.usd_per_request = 0.5;
  params.price.usd_per_s = 10;
  FunctionPool pool(params, kStart);
  double usd = 0;
  const auto bills = [&](DurationNs ran, double expected) {
    start(pool, kStart);
    CHECK(pool.usd(kStart) == usd);  // nothing before the end
    pool.finish(ran, kStart);
    CHECK(pool.usd(kStart) - usd == doctest::Approx(expected));
    usd = pool.usd(kStart);
  };
  bills(1ns, 1.5);
  bills(100ms, 1.5);
  bills(100ms + 1ns, 2.5);
  bills(2050ms, 21.5);
  CHECK(pool.usd(at(24h)) == usd);
}

TEST_CASE("functions that are kept warm cost a quantum for every ping") {
  FunctionPoolParams params = params_of(10);
  params.price.quantum = 100ms;
  params.price.usd_per_request = 0.5;
  params.price.usd_per_s = 10;
  params.keep_warm = 4;
  params.ping_interval = 5min;
  const FunctionPool pool(params, at(1min));
  CHECK(pool.usd(at(1min)) == 0);
  CHECK(pool.usd(at(6min) - 1ns) == 0);
  CHECK(pool.usd(at(6min)) == doctest::Approx(4 * 1.5));
  CHECK(pool.usd(at(61min)) == doctest::Approx(12 * 4 * 1.5));
}

TEST_CASE("what makes no sense is refused") {
  const auto refuses = [](const std::function<void(FunctionPoolParams&)>& change) {
    FunctionPoolParams params = params_of(10);
    change(params);
    CHECK_THROWS_AS(FunctionPool(params, kStart), std::invalid_argument);
  };
  refuses([](FunctionPoolParams& p) { p.latency = 0ns; });
  refuses([](FunctionPoolParams& p) { p.cold_start = -1ns; });
  refuses([](FunctionPoolParams& p) { p.idle_max = 0ns; });
  refuses([](FunctionPoolParams& p) { p.price.quantum = 0ns; });
  refuses([](FunctionPoolParams& p) { p.concurrency_max = 0; });
  refuses([](FunctionPoolParams& p) { p.keep_warm = -1; });
  refuses([](FunctionPoolParams& p) { p.keep_warm = 11; });
  refuses([](FunctionPoolParams& p) { p.keep_warm = 1; });  // without a ping_interval
  refuses([](FunctionPoolParams& p) { p.cold_starts_burst = -1; });
  refuses([](FunctionPoolParams& p) { p.cold_starts_per_s = -1; });
}

}  // namespace
}  // namespace mark
