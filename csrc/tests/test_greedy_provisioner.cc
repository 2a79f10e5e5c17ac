#include <doctest/doctest.h>

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <vector>

#include "mark/greedy_provisioner.h"

namespace mark {
namespace {

constexpr ProvisioningParams kNow{.step_s = 60, .lead_steps = 0};

Offering offering(double price_usd_per_hour, double capacity_rows_per_s, double launch_overhead_s = 0) {
  return {.name = "o",
          .price_usd_per_hour = price_usd_per_hour,
          .capacity_rows_per_s = capacity_rows_per_s,
          .launch_overhead_s = launch_overhead_s,
          .available = 5000,
          .pool = {}};
}

Instance running(std::uint64_t id, double ready_in_s = 0) {
  return {.id = id, .offering = 0, .ready_in_s = ready_in_s};
}

std::vector<std::uint64_t> kept(const Plan& plan) {
  std::vector<std::uint64_t> ids;
  for (const Choice& choice : plan.choices) {
    if (choice.instance != 0) ids.push_back(choice.instance);
  }
  std::sort(ids.begin(), ids.end());
  return ids;
}

TEST_CASE("a choice says its price for a million rows and that of the best rejected one") {
  // 10 rows/s for one step of 60 s is 600 rows. Small: 0.36 $/h is 0.0001 $/s, so 0.006 $ for them.
  const Plan plan = provision_greedily({offering(0.36, 10), offering(0.72, 10)}, {}, {10}, kNow);
  REQUIRE(plan.choices.size() == 1);
  CHECK(plan.choices[0].offering == 0);
  CHECK(plan.choices[0].usd_per_million_rows == doctest::Approx(10.0));
  CHECK(plan.choices[0].rejected_offering == 1);
  CHECK(plan.choices[0].rejected_usd_per_million_rows == doctest::Approx(20.0));
}

TEST_CASE("the launch overhead is paid once, so that a short need keeps what runs and a long one replaces it") {
  const std::vector<Offering> offerings{offering(0.20, 10), offering(0.10, 10, 180)};
  CHECK(kept(provision_greedily(offerings, {running(1)}, {10}, kNow)) == std::vector<std::uint64_t>{1});
  CHECK(kept(provision_greedily(offerings, {running(1)}, std::vector<double>(60, 10), kNow)).empty());
}

TEST_CASE("a load of exactly so many instances asks for no more, however many they are") {
  for (const double capacity : {0.1, 33.3, 83.294, 154.128, 179.126, 3536.4, 13168.38, 19067.29}) {
    for (const int count : {3, 691, 908, 1027, 1100, 1124, 1293, 1317}) {
      const Plan plan = provision_greedily({offering(0.1, capacity)}, {}, {capacity * count}, kNow);
      CHECK(plan.choices.size() == static_cast<std::size_t>(count));
    }
  }
}

TEST_CASE("a small load beside a large one is served") {
  const Plan plan = provision_greedily({offering(0.1, 10)}, {}, {0.001, 100'000}, kNow);
  CHECK(plan.uncovered_rows_per_s == 0);
  CHECK(plan.choices.size() == 1);
}

TEST_CASE("a booting instance is kept for the steps in which it serves, and stands in for nobody before") {
  const ProvisioningParams params{.step_s = 60, .lead_steps = 2};
  const Plan plan = provision_greedily({offering(0.1, 10)}, {running(1), running(2, 61)}, {10, 10, 10}, params);
  CHECK(kept(plan) == std::vector<std::uint64_t>{1});
  CHECK(plan.retire == std::vector<std::uint64_t>{2});

  const Plan growing = provision_greedily({offering(0.1, 10)}, {running(1), running(2, 61)}, {10, 10, 20}, params);
  CHECK(kept(growing) == std::vector<std::uint64_t>{1, 2});
}

TEST_CASE("an instance that is ready after the horizon serves nothing in it") {
  for (const double ready_in_s : {121.0, 1e6, 1e300, std::numeric_limits<double>::max()}) {
    const Plan plan = provision_greedily({offering(0.1, 10)}, {running(1, ready_in_s)}, {5, 5}, kNow);
    CHECK(kept(plan).empty());
    CHECK(plan.choices.size() == 1);
  }
}

TEST_CASE("a lead beyond the horizon means its last step") {
  const Plan plan = provision_greedily({offering(0.1, 10)}, {}, {0, 0, 25}, {.step_s = 60, .lead_steps = 900});
  REQUIRE(plan.choices.size() == 3);
  CHECK(plan.choices[0].binding_step == 2);
}

TEST_CASE("a sold-out offering leaves load uncovered and says how much") {
  Offering scarce = offering(0.1, 10);
  scarce.available = 2;
  const Plan plan = provision_greedily({scarce}, {}, {50}, kNow);
  CHECK(plan.choices.size() == 2);
  CHECK(plan.uncovered_rows_per_s == doctest::Approx(30));
}

TEST_CASE("wrong numbers are refused") {
  CHECK_THROWS_AS(provision_greedily({offering(0.1, 0)}, {}, {1}, kNow), std::invalid_argument);
  CHECK_THROWS_AS(provision_greedily({offering(0.1, 1)}, {}, {-1}, kNow), std::invalid_argument);
  CHECK_THROWS_AS(provision_greedily({offering(0.1, 1)}, {}, {}, kNow), std::invalid_argument);
  CHECK_THROWS_AS(provision_greedily({offering(0.1, 1)}, {{.id = 1, .offering = 7}}, {1}, kNow), std::invalid_argument);
}

}  // namespace
}  // namespace mark
