#include <doctest/doctest.h>

#include <chrono>

#include "mark/simulation/credit_bucket.h"

namespace mark {
namespace {

using namespace std::chrono_literals;

constexpr TimeNs kStart{};

// Earns a fifth of full speed; 8 credits last for 10 s at full speed.
constexpr CreditParams kT2{.baseline_share = 0.2, .credits_s = 8, .credits_max_s = 12, .unlimited = false};

TimeNs at(DurationNs since_start) { return kStart + since_start; }

double seconds(DurationNs duration) { return std::chrono::duration<double>(duration).count(); }

TEST_CASE("it begins with its credits, and they drain by what full speed takes beyond the baseline") {
  CreditBucket bucket(kT2, kStart);
  CHECK(bucket.credits_s(kStart) == 8);
  CHECK(bucket.run(1s, kStart) == 1s);
  CHECK(bucket.credits_s(at(1s)) == doctest::Approx(7.2));
  CHECK(bucket.run(5s, at(1s)) == 5s);
  CHECK(bucket.credits_s(at(6s)) == doctest::Approx(3.2));
}

TEST_CASE("at full speed until the credits are used up, at the baseline from then on") {
  CreditBucket bucket(kT2, kStart);
  TimeNs now = kStart;
  for (int i = 0; i < 9; ++i) {
    CHECK(bucket.run(1s, now) == 1s);
    now += 1s;
  }
  // The last full second, to within the rounding of floating point.
  now += bucket.run(1s, now);
  CHECK(seconds(now - kStart) == doctest::Approx(10).epsilon(1e-6));
  CHECK(bucket.credits_s(now) == doctest::Approx(0).epsilon(1e-6));
  for (int i = 0; i < 3; ++i) {
    const DurationNs spent = bucket.run(1s, now);
    CHECK(seconds(spent) == doctest::Approx(5).epsilon(1e-6));  // a fifth of the speed
    now += spent;
  }
  CHECK(bucket.credits_s(now) == doctest::Approx(0).epsilon(1e-6));
  CHECK(bucket.surplus_s() == 0);
}

TEST_CASE("work that the credits do not last for is slow from the instant at which they end, however it is cut") {
  CreditBucket once(kT2, kStart);
  const DurationNs spent = once.run(12s, kStart);
  CHECK(seconds(spent) == doctest::Approx(10 + 2 / 0.2));
  CHECK(once.credits_s(at(spent)) == doctest::Approx(0));

  CreditBucket pieces(kT2, kStart);
  TimeNs now = kStart;
  for (int i = 0; i < 120; ++i) {
    now += pieces.run(100ms, now);
  }
  CHECK(seconds(now - kStart) == doctest::Approx(seconds(spent)).epsilon(1e-6));
}

TEST_CASE("idle time earns the baseline, up to the most that is kept") {
  CreditBucket bucket(kT2, kStart);
  bucket.run(10s, kStart);
  CHECK(bucket.credits_s(at(20s)) == doctest::Approx(2));
  CHECK(bucket.credits_s(at(65s)) == doctest::Approx(11));
  CHECK(bucket.credits_s(at(70s)) == doctest::Approx(12));
  CHECK(bucket.credits_s(at(1000s)) == 12);
  CHECK(seconds(bucket.run(15s, at(1000s))) == doctest::Approx(15));  // and 12 credits last for 15 s
  CHECK(bucket.run(1s, at(1015s)) > 4s);
}

TEST_CASE("credits earned in a pause are spent before the work slows down again") {
  CreditBucket bucket(kT2, kStart);
  bucket.run(10s, kStart);
  // 4 s of pause earn 0.8 credits: 1 s at full speed, and the other second takes 5.
  CHECK(seconds(bucket.run(2s, at(14s))) == doctest::Approx(6).epsilon(1e-6));
}

TEST_CASE("launch credits beyond what is kept are not lost, and not added to") {
  CreditBucket bucket({.baseline_share = 0.5, .credits_s = 10, .credits_max_s = 4}, kStart);
  CHECK(bucket.credits_s(at(100s)) == 10);
  bucket.run(16s, at(100s));
  CHECK(bucket.credits_s(at(116s)) == doctest::Approx(2));
  CHECK(bucket.credits_s(at(200s)) == 4);
}

TEST_CASE("without credits from the start it earns none to start with") {
  CreditBucket bucket({.baseline_share = 0.1, .credits_s = 0, .credits_max_s = 100}, kStart);
  CHECK(seconds(bucket.run(1s, kStart)) == doctest::Approx(10));
}

TEST_CASE("unlimited: always at full speed, and what it lacked is counted") {
  CreditParams params = kT2;
  params.unlimited = true;
  CreditBucket bucket(params, kStart);
  CHECK(bucket.run(9s, kStart) == 9s);
  CHECK(bucket.surplus_s() == 0);
  CHECK(bucket.run(2s, at(9s)) == 2s);  // one with credits, one without
  CHECK(bucket.surplus_s() == doctest::Approx(0.8));
  CHECK(bucket.run(10s, at(11s)) == 10s);
  CHECK(bucket.surplus_s() == doctest::Approx(8.8));
  CHECK(bucket.credits_s(at(21s)) == 0);
  CHECK(bucket.credits_s(at(26s)) == doctest::Approx(1));
}

TEST_CASE("a baseline of full speed needs no credits") {
  CreditBucket bucket({}, kStart);
  CHECK(bucket.run(1000s, kStart) == 1000s);
  CHECK(bucket.run(1000s, at(1000s)) == 1000s);
  CHECK(bucket.surplus_s() == 0);
}

}  // namespace
}  // namespace mark
