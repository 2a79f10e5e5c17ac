#include <doctest/doctest.h>

#include <chrono>
#include <stdexcept>
#include <utility>
#include <vector>

#include "mark/hourly_budget.h"
#include "mark/simulation/random.h"

namespace mark {
namespace {

using namespace std::chrono_literals;

constexpr TimeNs kStart{};

TEST_CASE("what was spent counts for an hour, and is forgotten within the minute after it") {
  HourlyBudget budget(10);
  budget.spend(4, kStart + 59s);
  budget.spend(6, kStart + 30min);
  CHECK(budget.spent_usd(kStart + 30min) == 10);
  CHECK_FALSE(budget.affords(0.01, kStart + 60min + 59s));
  CHECK(budget.affords(4, kStart + 61min));
  CHECK_FALSE(budget.affords(4.01, kStart + 61min));
  CHECK(budget.spent_usd(kStart + 91min) == 0);
  CHECK(budget.spent_usd(kStart + 24h) == 0);
}

TEST_CASE("many small sums may reach the budget exactly") {
  HourlyBudget budget(0.3);
  for (int i = 0; i < 3; ++i) {
    REQUIRE(budget.affords(0.1, kStart));
    budget.spend(0.1, kStart);
  }
  CHECK_FALSE(budget.affords(0.001, kStart));
}

TEST_CASE("what is given back late goes to the minute in which it was taken, or nowhere after an hour") {
  HourlyBudget budget(10);
  budget.spend(5, kStart);
  budget.spend(1, kStart + 40min);
  budget.spend(-2, kStart);
  CHECK(budget.spent_usd(kStart + 40min) == 4);
  CHECK(budget.spent_usd(kStart + 62min) == 1);
  budget.spend(1, kStart + 61min);  // takes the place of the first
  budget.spend(-3, kStart);
  CHECK(budget.spent_usd(kStart + 62min) == 2);
}

TEST_CASE("no budget affords nothing but what is free, and time may begin below zero") {
  const HourlyBudget none(0);
  CHECK(none.affords(0, kStart));
  CHECK_FALSE(none.affords(1e-9, kStart));
  HourlyBudget budget(1);
  budget.spend(1, kStart - 30min);
  CHECK_FALSE(budget.affords(1, kStart));
  CHECK(budget.affords(1, kStart + 31min));
}

TEST_CASE("a limit holds beside the budget, may change, and forgets nothing") {
  HourlyBudget budget(10);
  budget.spend(4, kStart);
  budget.limit(3);
  CHECK_FALSE(budget.affords(0.1, kStart));
  budget.limit(5);
  CHECK(budget.affords(1, kStart));
  CHECK_FALSE(budget.affords(1.1, kStart));
  budget.limit(100);
  CHECK(budget.affords(6, kStart));
  CHECK_FALSE(budget.affords(6.1, kStart));
  CHECK_THROWS_AS(budget.limit(-1), std::invalid_argument);
}

TEST_CASE("whoever asks before spending never spends more in any hour") {
  Random random(7);
  HourlyBudget budget(20);
  std::vector<std::pair<TimeNs, double>> spent;
  TimeNs now = kStart;
  for (int i = 0; i < 4000; ++i) {
    now += std::chrono::duration_cast<DurationNs>(std::chrono::duration<double>(random.uniform() * 60));
    const double usd = random.uniform();
    if (budget.affords(usd, now)) {
      budget.spend(usd, now);
      spent.emplace_back(now, usd);
    }
  }
  for (const auto& [begin, _] : spent) {
    double hour = 0;
    for (const auto& [at, usd] : spent) {
      hour += at >= begin && at < begin + 1h ? usd : 0;
    }
    CHECK(hour <= 20.000001);
  }
  CHECK(spent.size() > 1000);
}

}  // namespace
}  // namespace mark
