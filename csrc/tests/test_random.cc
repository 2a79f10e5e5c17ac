#include <doctest/doctest.h>

#include <cstdint>
#include <random>

#include "mark/simulation/random.h"

namespace mark {
namespace {

constexpr int kDraws = 50'000;

TEST_CASE("the engine is the one that the standard fixes") {
  Random random(5489);
  for (int i = 1; i < 10'000; ++i) {
    random.uniform();
  }
  // [rand.predef]: the 10000th value of a default-constructed mt19937_64.
  constexpr std::uint64_t kValue = 9981545732273789042ULL;
  CHECK(random.uniform() == static_cast<double>((kValue >> 11U) + 1) * 0x1.0p-53);
}

TEST_CASE("uniform numbers lie in (0, 1] and fill it evenly") {
  Random random(1);
  double sum = 0;
  int in_first_tenth = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double value = random.uniform();
    REQUIRE((value > 0 && value <= 1));
    sum += value;
    in_first_tenth += value <= 0.1 ? 1 : 0;
  }
  CHECK(sum / kDraws == doctest::Approx(0.5).epsilon(0.01));
  CHECK(in_first_tenth == doctest::Approx(0.1 * kDraws).epsilon(0.05));
}

TEST_CASE("normal numbers have mean 0, variance 1, the tail of a normal distribution, and do not follow each other") {
  Random random(2);
  double sum = 0;
  double squares = 0;
  double neighbours = 0;
  double before = 0;
  int above_p99 = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double value = random.normal();
    sum += value;
    squares += value * value;
    neighbours += value * before;
    above_p99 += value > 2.3263478740408408 ? 1 : 0;
    before = value;
  }
  CHECK(sum / kDraws == doctest::Approx(0).epsilon(0.015));
  CHECK(squares / kDraws == doctest::Approx(1).epsilon(0.02));
  CHECK(neighbours / kDraws == doctest::Approx(0).epsilon(0.015));
  CHECK(above_p99 == doctest::Approx(0.01 * kDraws).epsilon(0.15));
}

}  // namespace
}  // namespace mark
