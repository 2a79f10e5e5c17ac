#include <doctest/doctest.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "mark/corridor_search.h"
#include "mark/exact_schedule.h"
#include "mark/local_search.h"
#include "mark/planning_problem.h"
#include "planning_cases.h"

namespace mark {
namespace {

using namespace planning_cases;

constexpr int kProblems = 300;
// Of no family more than a corridor reaches from none.
constexpr Kinds kWithinReach{.steps_max = 6, .offerings_max = 2, .rate_max = 8, .count_max = 2, .pools = false};

TEST_CASE("a corridor around all families that reaches all counts holds the optimum, where local search is stuck") {
  int compared = 0;
  int better_than_moves = 0;
  for (int seed = 0; seed < kProblems; ++seed) {
    CAPTURE(seed);
    const PlanningProblem problem = random_problem(seed, kWithinReach);
    const std::optional<Schedule> exact = exact_schedule(problem);
    const std::vector<int> families = corridor_families(problem);
    if (!exact || families.empty() || families.size() > 3 || families.size() < problem.families.size()) {
      continue;
    }
    std::int64_t looks = 1'000'000;
    Schedule schedule(problem, Schedule::Running::kStays);
    improve(schedule, looks);
    const ScheduleCost moved = schedule.cost();
    const bool improved = search_corridor(schedule, families, looks);
    CHECK(improved == schedule.cost().better_than(moved));
    if (problem.must_cover && exact->cost().missed_rows > 0) {
      continue;  // a state does not know that less missed comes first
    }
    CHECK(schedule.cost().usd == doctest::Approx(exact->cost().usd));
    ++compared;
    better_than_moves += improved ? 1 : 0;
  }
  CHECK(compared > kProblems / 10);
  CHECK(better_than_moves > 0);
}

TEST_CASE("a corridor keeps the bounds of families, whatever it is laid around, and never makes a schedule worse") {
  for (int seed = 0; seed < kProblems; ++seed) {
    CAPTURE(seed);
    const PlanningProblem problem = random_problem(seed, Kinds{});
    std::vector<int> families = corridor_families(problem);
    Schedule schedule(problem, Schedule::Running::kStays);
    const ScheduleCost before = schedule.cost();
    while (!families.empty()) {
      const std::vector<int> some(families.begin(), families.begin() + (families.size() > 2 ? 3 : 1));
      std::int64_t looks = 0;
      search_corridor(schedule, some, looks);
      CHECK(looks < 0);
      families.erase(families.begin());
    }
    CHECK(!before.better_than(schedule.cost()));
    CHECK(feasible(problem, counts_of(schedule)));
  }
}

TEST_CASE("no corridor is laid where a minimum life or a pool ties instances together") {
  PlanningProblem problem = random_problem(1, kWithinReach);
  problem.min_life_steps = 2;
  CHECK(corridor_families(problem).empty());
  problem.min_life_steps = 1;
  problem.pools.emplace_back();
  CHECK(corridor_families(problem).empty());
}

}  // namespace
}  // namespace mark
