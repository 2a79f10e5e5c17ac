#include <doctest/doctest.h>

#include <chrono>

#include "net/rpc/flood_guard.h"

namespace mark::net {

namespace {

using namespace std::chrono_literals;

constexpr TimeNs kStart{1'000s};

TEST_CASE("a bucket gives what it has, and what comes back with time, but no more than its burst") {
  TokenBucket bucket(3, 10, kStart);
  for (int i = 0; i < 3; ++i) CHECK(bucket.take(1, kStart));
  CHECK_FALSE(bucket.take(1, kStart));
  CHECK_FALSE(bucket.take(1, kStart + 99ms));
  CHECK(bucket.take(1, kStart + 101ms));
  CHECK_FALSE(bucket.take(1, kStart));  // time does not go back
  bucket.earn(2);
  CHECK(bucket.take(2, kStart + 101ms));
  bucket.earn(100);
  CHECK(bucket.take(3, kStart + 10s));
  CHECK_FALSE(bucket.take(1, kStart + 10s));
}

TEST_CASE("frames that carry nothing end a connection, unless it works as well") {
  FloodGuard idle({}, kStart);
  int taken = 0;
  while (taken < 100'000 && idle.on_cheap_frame(kStart)) ++taken;
  CHECK(taken == 10'000);

  FloodGuard busy({}, kStart);
  for (int call = 0; call < 100'000; ++call) {
    for (int frame = 0; frame < 8; ++frame) REQUIRE(busy.on_cheap_frame(kStart));
    busy.on_call_served();
  }
  FloodGuard reader({}, kStart);  // takes a long answer, and opens its windows for it
  for (int frame = 0; frame < 100'000; ++frame) {
    reader.on_data_sent();
    REQUIRE(reader.on_cheap_frame(kStart));
    REQUIRE(reader.on_cheap_frame(kStart));
  }
}

TEST_CASE("streams that are reset at once end a connection") {
  FloodGuard guard({}, kStart);
  int taken = 0;
  while (taken < 100'000 && guard.on_reset(kStart, kStart)) ++taken;
  CHECK(taken == 5'000);
}

TEST_CASE("who cancels half of its calls, or all of them at a deadline, is no flood") {
  FloodGuard hedging({}, kStart);
  for (int i = 0; i < 100'000; ++i) {
    REQUIRE(hedging.on_reset(kStart, kStart));
    hedging.on_call_served();
  }
  // 1,000 calls a second, each given up after 100 ms.
  FloodGuard late({}, kStart);
  for (int i = 0; i < 60'000; ++i) {
    const TimeNs now = kStart + i * 1ms;
    REQUIRE(late.on_reset(now - 100ms, now));
  }
  // 100,000 a second, but each has waited a second.
  FloodGuard patient({}, kStart);
  for (int i = 0; i < 100'000; ++i) REQUIRE(patient.on_reset(kStart - 1s, kStart));
}

TEST_CASE("a header block has so many continuations, the next one as many again") {
  FloodGuard guard({}, kStart);
  for (int block = 0; block < 3; ++block) {
    guard.on_header_block();
    for (int i = 0; i < 64; ++i) REQUIRE(guard.on_continuation());
  }
  CHECK_FALSE(guard.on_continuation());
}

}  // namespace

}  // namespace mark::net
