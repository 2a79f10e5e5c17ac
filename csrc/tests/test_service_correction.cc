// The factor by which a worker is off its profile: where it settles, how fast, and what does not move it.
#include <doctest/doctest.h>

#include <chrono>
#include <cmath>
#include <cstdint>
#include <random>

#include "mark/service_correction.h"

namespace mark {
namespace {

using namespace std::chrono_literals;

constexpr DurationNs kMeasured = 10ms;

// One batch after another, each `factor` times as long as measured.
class Worker {
 public:
  void serves(double factor, int batches = 1, DurationNs allowance = 0ms) {
    for (int i = 0; i < batches; ++i) {
      const DurationNs took{std::llround(factor * static_cast<double>(kMeasured.count()))};
      now_ += took;
      correction_.observe(took, kMeasured, allowance, now_);
    }
  }
  void idles(DurationNs duration) { now_ += duration; }
  double factor() const { return correction_.factor(); }
  bool is_fresh() const { return correction_.is_fresh(now_); }

 private:
  ServiceCorrection correction_;
  TimeNs now_;
};

TEST_CASE("a worker that does as measured is not corrected") {
  Worker worker;
  worker.serves(1.0, 1000);
  CHECK(worker.factor() == 1.0);
}

TEST_CASE("a worker five times slower is known after a few batches, and not overestimated") {
  Worker worker;
  worker.serves(5.0, 4);
  CHECK(worker.factor() == doctest::Approx(5.0));
  worker.serves(5.0, 50);
  CHECK(worker.factor() == doctest::Approx(5.0));
}

TEST_CASE("a worker that recovers is trusted again") {
  Worker worker;
  worker.serves(5.0, 10);
  worker.serves(1.0, 600);
  CHECK(worker.factor() == doctest::Approx(1.0));
}

TEST_CASE("one hiccup is next to nothing") {
  Worker worker;
  worker.serves(1.0, 20);
  worker.serves(100.0);
  CHECK(worker.factor() < 1.05);
}

TEST_CASE("the factor settles at the 99th percentile, not at the mean") {
  // Lognormal with its 99th percentile at 1.3 and its median at 0.9.
  std::mt19937_64 random(7);  // NOLINT(bugprone-random-generator-seed): the same on every run
  std::lognormal_distribution<double> times(std::log(0.9), std::log(1.3 / 0.9) / 2.326);
  Worker worker;
  double sum = 0;
  int counted = 0;
  for (int batch = 0; batch < 20'000; ++batch) {
    worker.serves(times(random));
    if (batch >= 2'000) {
      sum += worker.factor();
      ++counted;
    }
  }
  CHECK(sum / counted == doctest::Approx(1.3).epsilon(0.06));
}

TEST_CASE("what the way may have taken is not held against the worker") {
  Worker worker;
  worker.serves(1.19, 100, 2ms);
  CHECK(worker.factor() == 1.0);
  worker.serves(2.2, 20, 2ms);
  CHECK(worker.factor() == doctest::Approx(2.0));
}

TEST_CASE("without observations it stays, and a run does not reach across a silence") {
  Worker worker;
  worker.serves(5.0, 3);
  const double before = worker.factor();
  CHECK(worker.is_fresh());
  worker.idles(11s);
  CHECK_FALSE(worker.is_fresh());
  CHECK(worker.factor() == before);
  worker.serves(5.0);
  CHECK(worker.factor() == doctest::Approx(before * std::exp(0.04)));
}

TEST_CASE("it is bounded, and no time is no observation") {
  Worker worker;
  worker.serves(0.0, 10);
  CHECK(worker.factor() == 1.0);
  worker.serves(1000.0, 100);
  CHECK(worker.factor() == ServiceCorrection::kFactorMax);
  worker.serves(0.001, 5000);
  CHECK(worker.factor() == ServiceCorrection::kFactorMin);
}

}  // namespace
}  // namespace mark
