#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "mark/planning_problem.h"
#include "mark/starting_schedules.h"
#include "planning_cases.h"

namespace mark {
namespace {

using namespace planning_cases;

constexpr int kProblems = 300;

Offering offering(double price_usd_per_minute, double capacity_rows_per_s, double launch_overhead_s = 0) {
  return {.name = "o",
          .price_usd_per_hour = 60 * price_usd_per_minute,
          .capacity_rows_per_s = capacity_rows_per_s,
          .launch_overhead_s = launch_overhead_s,
          .available = 50,
          .pool = {}};
}

std::vector<Schedule> all_starts(const PlanningProblem& problem) {
  std::vector<Schedule> found{greedy_in_order_of_time(problem), greedy_with_look_ahead(problem),
                              cover_of_each_step(problem), flat_cover(problem)};
  for (int f = 0; f < static_cast<int>(problem.families.size()); ++f) {
    if (problem.families[static_cast<std::size_t>(f)].group < 0) found.push_back(single_family(problem, f));
  }
  return found;
}

// Calls look(problem, schedule) for the starts of problems at random.
template <class Look>
void for_starts(const Kinds& kinds, Look look) {
  for (int seed = 0; seed < kProblems; ++seed) {
    CAPTURE(seed);
    const PlanningProblem problem = random_problem(seed, kinds);
    for (const Schedule& schedule : all_starts(problem)) look(problem, schedule);
  }
}

TEST_CASE("no start breaks a bound or a pool's limit") {
  for_starts({}, [](const PlanningProblem& problem, const Schedule& schedule) {
    CHECK(feasible(problem, counts_of(schedule)));
  });
}

TEST_CASE("no start has an instance for less than its minimum life") {
  for_starts({.pools = false, .min_life = true}, [](const PlanningProblem& problem, const Schedule& schedule) {
    CHECK(feasible(problem, counts_of(schedule)));
  });
}

TEST_CASE("Algorithm 1 takes the kind with the least dollars per row over the unfulfilled run") {
  // The large one is cheaper per row where it is full, not over a run that it fills by a third.
  const std::vector<Offering> offerings{offering(1, 10), offering(2, 30)};
  const PlanningProblem low = compile_problem(offerings, {}, {10, 10, 0, 0}, {});
  CHECK(counts_of(greedy_in_order_of_time(low)) == Counts{{1, 1, 0, 0}, {0, 0, 0, 0}});
  const PlanningProblem high = compile_problem(offerings, {}, {30, 30, 0, 0}, {});
  CHECK(counts_of(greedy_in_order_of_time(high)) == Counts{{0, 0, 0, 0}, {1, 1, 0, 0}});
}

TEST_CASE("Algorithm 1 pays the boot once for a run, so that a long one takes what a short one does not") {
  const std::vector<Offering> offerings{offering(1, 10, 300), offering(2, 10)};
  const PlanningProblem brief = compile_problem(offerings, {}, {10, 10, 0, 0, 0, 0, 0}, {});
  CHECK(counts_of(greedy_in_order_of_time(brief)) == Counts{std::vector<int>(7, 0), {1, 1, 0, 0, 0, 0, 0}});
  const PlanningProblem lasting = compile_problem(offerings, {}, std::vector<double>(7, 10), {});
  CHECK(counts_of(greedy_in_order_of_time(lasting)) == Counts{std::vector<int>(7, 1), std::vector<int>(7, 0)});
}

TEST_CASE("Algorithm 1 keeps what runs rather than to launch the same") {
  const PlanningProblem problem = compile_problem({offering(1, 10)}, {{.offering = 0, .count = 3}}, {20, 20, 10}, {});
  CHECK(counts_of(greedy_in_order_of_time(problem)) == Counts{{2, 2, 1}, {0, 0, 0}});
}

TEST_CASE("Algorithm 1 covers each step before it looks at the next") {
  // Two runs of one step, with a gap that nobody pays through: the starts are paid twice.
  const PlanningProblem problem = compile_problem({offering(1, 10, 120)}, {}, {10, 0, 10}, {});
  const Schedule schedule = greedy_in_order_of_time(problem);
  CHECK(counts_of(schedule) == Counts{{1, 0, 1}});
  CHECK(schedule.cost().usd == doctest::Approx(6));
}

TEST_CASE("look-ahead ends an instance where its dollars per row are least") {
  // A peak of one step over a base: Algorithm 1 has two runs of the same length, look-ahead sees the end of the peak.
  const PlanningProblem problem = compile_problem({offering(1, 10)}, {}, {20, 10, 10}, {});
  CHECK(counts_of(greedy_with_look_ahead(problem)) == Counts{{2, 1, 1}});
}

TEST_CASE("a single kind bridges a gap that is cheaper to pay through than another start") {
  const PlanningProblem brief = compile_problem({offering(1, 10, 120)}, {}, {10, 0, 0, 10}, {});
  CHECK(counts_of(single_family(brief, 0)) == Counts{{1, 1, 1, 1}});
  const PlanningProblem lasting = compile_problem({offering(1, 10, 120)}, {}, {10, 0, 0, 0, 10}, {});
  CHECK(counts_of(single_family(lasting, 0)) == Counts{{1, 0, 0, 0, 1}});
}

TEST_CASE("what runs stays until a single kind is ready") {
  const Offering fast = offering(1, 10);
  Offering slow = offering(0.1, 10);
  slow.boot_s = 120;
  const PlanningProblem problem = compile_problem({fast, slow}, {{.offering = 0, .count = 1}}, {10, 10, 10, 10}, {});
  CHECK(counts_of(single_family(problem, 2)) == Counts{{1, 1, 0, 0}, {0, 0, 0, 0}, {0, 0, 1, 1}});
}

// The least dollars for a flat load, over all numbers of each kind.
double least_usd(const PlanningProblem& problem, double load) {
  std::vector<std::pair<double, double>> covers{{0, 0}};  // rows per second and dollars
  for (const Family& family : problem.families) {
    const double usd = family.start_usd + problem.steps * family.usd_per_step;
    const int most = std::min(family.count_max, static_cast<int>(std::ceil(load / family.rows_per_s.back())));
    std::vector<std::pair<double, double>> more;
    for (const auto& [rows_per_s, paid_usd] : covers) {
      for (int count = 0; count <= most; ++count) {
        more.emplace_back(rows_per_s + count * family.rows_per_s.back(), paid_usd + count * usd);
      }
    }
    covers = std::move(more);
  }
  double least = kInfeasible;
  for (const auto& [rows_per_s, usd] : covers) {
    if (rows_per_s >= load - 1e-9) least = std::min(least, usd);
  }
  return least;
}

TEST_CASE("the flat cover of a flat load is the optimum") {
  for (int seed = 0; seed < kProblems; ++seed) {
    CAPTURE(seed);
    Numbers numbers(seed);
    std::vector<Offering> offerings;
    std::vector<InstanceGroup> groups;
    for (int i = numbers.between(1, 3); i > 0; --i) {
      offerings.push_back(offering(numbers.between(1, 9), numbers.between(1, 7), 60 * numbers.below(4)));
      if (numbers.one_in(3)) groups.push_back({.offering = i - 1, .count = numbers.between(1, 3)});
    }
    for (InstanceGroup& group : groups) group.offering = group.offering % static_cast<int>(offerings.size());
    const double load = numbers.between(1, 25);
    const PlanningProblem problem = compile_problem(
        offerings, groups, std::vector<double>(static_cast<std::size_t>(numbers.between(1, 6)), load), {});
    const Schedule schedule = flat_cover(problem);
    CHECK(schedule.cost().missed_rows == 0);
    CHECK(schedule.cost().usd == doctest::Approx(least_usd(problem, load)));
  }
}

TEST_CASE("a flat load of tens of thousands is covered by the cheapest row, without one too many") {
  const PlanningProblem problem = compile_problem({offering(1, 10), offering(3, 20)}, {}, {400, 400}, {});
  CHECK(flat_cover(problem).cost().usd == doctest::Approx(2 * 40));
  Offering many = offering(1, 10);
  many.available = 1'000'000;
  const PlanningProblem large = compile_problem({many}, {}, {1e6, 1e6}, {});
  CHECK(flat_cover(large).count(0, 0) == doctest::Approx(100'000).epsilon(0.001));
  CHECK(flat_cover(large).cost().missed_rows == 0);
}

}  // namespace
}  // namespace mark
