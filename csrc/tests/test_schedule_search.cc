#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "mark/exact_schedule.h"
#include "mark/local_search.h"
#include "mark/planning_problem.h"
#include "mark/schedule_combination.h"
#include "mark/schedule_search.h"
#include "mark/starting_schedules.h"
#include "planning_cases.h"

namespace mark {
namespace {

using namespace planning_cases;

constexpr int kProblems = 300;
constexpr Kinds kTiny{.steps_max = 3, .offerings_max = 2, .rate_max = 8, .count_max = 2, .pools = false};

bool hardly_worse(const ScheduleCost& cost, const ScheduleCost& other) {
  return cost.missed_rows <= other.missed_rows + 1e-6 &&
         (cost.missed_rows < other.missed_rows - 1e-6 || cost.usd <= other.usd + 1e-6);
}

// The best of all counts whatever, one by one.
ScheduleCost best_of_all(const PlanningProblem& problem) {
  Counts counts(problem.families.size(), std::vector<int>(static_cast<std::size_t>(problem.steps), 0));
  ScheduleCost best{.missed_rows = kInfeasible};
  const std::function<void(std::size_t, std::size_t)> choose = [&](std::size_t family, std::size_t step) {
    if (family == counts.size()) {
      const ScheduleCost cost = plain_cost(problem, counts);
      if (feasible(problem, counts) && (best.missed_rows == kInfeasible || cost.better_than(best))) best = cost;
      return;
    }
    if (step == counts[family].size()) {
      if (keeps_bounds(problem.families[family], counts[family])) choose(family + 1, 0);
      return;
    }
    const bool there = static_cast<int>(step) >= problem.families[family].first;
    for (int count = 0; count <= (there ? problem.families[family].count_max : 0); ++count) {
      counts[family][step] = count;
      choose(family, step + 1);
    }
    counts[family][step] = 0;
  };
  choose(0, 0);
  return best;
}

TEST_CASE("the exact schedule is the best of all that there are") {
  int compared = 0;
  for (int seed = 0; seed < kProblems; ++seed) {
    CAPTURE(seed);
    const PlanningProblem problem = random_problem(seed, kTiny);
    const std::optional<Schedule> exact = exact_schedule(problem);
    if (!exact || problem.families.size() > 4) continue;
    ++compared;
    const ScheduleCost best = best_of_all(problem);
    CHECK(feasible(problem, counts_of(*exact)));
    CHECK(exact->cost().missed_rows == doctest::Approx(best.missed_rows));
    CHECK(exact->cost().usd == doctest::Approx(best.usd));
  }
  CHECK(compared > kProblems / 2);
}

TEST_CASE("a dear start does not make load that must be covered worth missing") {
  PlanningParams params;
  params.switching_usd = 1e5;
  const Offering each{.name = "o", .price_usd_per_hour = 1, .capacity_rows_per_s = 1, .available = 2, .pool = {}};
  const PlanningProblem problem = compile_problem({each}, {}, {5}, params);
  CHECK(cheapest_schedule(problem, {}).schedule.count(0, 0) == 2);
}

TEST_CASE("there is no exact schedule where the counts of a step depend on more than those before") {
  const PlanningProblem problem = random_problem(1, {.steps_max = 6, .pools = false, .min_life = true});
  REQUIRE(problem.min_life_steps > 1);
  CHECK_FALSE(exact_schedule(problem).has_value());
}

TEST_CASE("a combination is possible and no worse than any of its parts") {
  for (const bool min_life : {false, true}) {
    for (int seed = 0; seed < kProblems; ++seed) {
      CAPTURE(seed);
      const PlanningProblem problem = random_problem(seed, {.min_life = min_life});
      std::vector<Schedule> parts;
      parts.reserve(4);
      for (int i = 0; i < 4; ++i) parts.push_back(random_schedule(problem, 10 * seed + i));
      const Schedule combined = best_combination(parts);
      CHECK(feasible(problem, counts_of(combined)));
      for (const Schedule& part : parts) CHECK(hardly_worse(combined.cost(), part.cost()));
    }
  }
}

TEST_CASE("a combination changes from one part to another where that pays") {
  const Offering each{.name = "o", .price_usd_per_hour = 60, .capacity_rows_per_s = 1, .available = 5, .pool = {}};
  const PlanningProblem problem = compile_problem({each}, {}, {3, 1}, {});
  Schedule rising(problem, Schedule::Running::kStays);
  rising.apply(move_of(0, 3), 0, 2);
  Schedule flat(problem, Schedule::Running::kStays);
  flat.apply(move_of(0, 1), 0, 2);
  CHECK(counts_of(best_combination({rising, flat})) == Counts{{3, 1}});
}

TEST_CASE("local search leaves a schedule possible and no worse") {
  for (const bool min_life : {false, true}) {
    for (int seed = 0; seed < kProblems; ++seed) {
      CAPTURE(seed);
      const PlanningProblem problem = random_problem(seed, {.min_life = min_life});
      Schedule schedule = random_schedule(problem, seed);
      const ScheduleCost before = schedule.cost();
      std::int64_t looks = 10'000;
      improve(schedule, looks);
      CHECK(feasible(problem, counts_of(schedule)));
      CHECK(hardly_worse(schedule.cost(), before));
    }
  }
}

TEST_CASE("after local search no single instance more or fewer is better") {
  for (int seed = 0; seed < kProblems; ++seed) {
    CAPTURE(seed);
    const PlanningProblem problem = random_problem(seed, {.credits = false});
    Schedule schedule = random_schedule(problem, seed);
    std::int64_t looks = 1'000'000;
    improve(schedule, looks);
    REQUIRE(looks > 0);
    for (int f = 0; f < static_cast<int>(problem.families.size()); ++f) {
      CHECK(schedule.cheapest(move_of(f, -1)).usd > -1e-6);
      CHECK(schedule.cheapest(move_of(f, 1)).usd > -1e-6);
    }
  }
}

TEST_CASE("the search is possible, and no worse than Algorithm 1 or any schedule that it is given") {
  for (const bool min_life : {false, true}) {
    for (int seed = 0; seed < kProblems; ++seed) {
      CAPTURE(seed);
      const PlanningProblem problem = random_problem(seed, {.steps_max = 8, .count_max = 6, .min_life = min_life});
      const Schedule given = random_schedule(problem, seed);
      const Schedule found = cheapest_schedule(problem, {given}).schedule;
      CHECK(feasible(problem, counts_of(found)));
      CHECK(hardly_worse(found.cost(), given.cost()));
      CHECK(hardly_worse(found.cost(), greedy_in_order_of_time(problem).cost()));
    }
  }
}

TEST_CASE("the search finds the same twice") {
  for (int seed = 0; seed < kProblems / 10; ++seed) {
    CAPTURE(seed);
    const PlanningProblem problem = random_problem(seed, {.steps_max = 12, .rate_max = 60, .count_max = 20});
    const Counts first = counts_of(cheapest_schedule(problem, {}).schedule);
    CHECK(counts_of(cheapest_schedule(problem, {}).schedule) == first);
  }
}

TEST_CASE("a load beyond any number of instances is planned for as far as it goes") {
  const Offering each{
      .name = "o", .price_usd_per_hour = 1, .capacity_rows_per_s = 1, .available = 2147483647, .pool = {}};
  const PlanningProblem problem = compile_problem({each}, {}, {1e12, 1e6, 1e12}, {});
  const Schedule found = cheapest_schedule(problem, {}).schedule;
  CHECK(found.count(0, 0) > 1'000'000'000);
  CHECK(found.count(0, 1) == 1'000'000);
}

}  // namespace
}  // namespace mark
