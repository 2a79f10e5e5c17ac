#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include "mark/planning_problem.h"
#include "mark/schedule.h"
#include "planning_cases.h"

namespace mark {
namespace {

using namespace planning_cases;

constexpr int kProblems = 300;
constexpr int kMoves = 20;

// The least over all stretches, one by one.
double least_usd(const Schedule& schedule, const Move& move) {
  double least = kInfeasible;
  for (int first = 0; first < schedule.problem().steps; ++first) {
    for (int end = first + 1; end <= schedule.problem().steps; ++end) {
      least = std::min(least, schedule.usd(move, first, end));
    }
  }
  return least;
}

// Calls look(schedule, move) for moves at random in schedules at random.
template <class Look>
void for_moves(const Kinds& kinds, Look look) {
  for (int seed = 0; seed < kProblems; ++seed) {
    CAPTURE(seed);
    const PlanningProblem problem = random_problem(seed, kinds);
    const Schedule schedule = random_schedule(problem, seed);
    Numbers numbers(seed);
    for (int i = 0; i < kMoves && !problem.families.empty(); ++i) {
      look(schedule, random_move(numbers, problem));
    }
  }
}

template <class Look>
void for_stretches(const Kinds& kinds, Look look) {
  for_moves(kinds, [&](const Schedule& schedule, const Move& move) {
    for (int first = 0; first < schedule.problem().steps; ++first) {
      for (int end = first + 1; end <= schedule.problem().steps; ++end) {
        look(schedule, move, first, end);
      }
    }
  });
}

TEST_CASE("a schedule costs what the definition of the problem says") {
  for (int seed = 0; seed < kProblems; ++seed) {
    CAPTURE(seed);
    const PlanningProblem problem = random_problem(seed);
    const Schedule schedule = random_schedule(problem, seed);
    const ScheduleCost plain = plain_cost(problem, counts_of(schedule));
    CHECK(schedule.cost().usd == doctest::Approx(plain.usd));
    CHECK(schedule.cost().missed_rows == doctest::Approx(plain.missed_rows));
  }
}

TEST_CASE("columns and transitions together are the cost of a schedule") {
  for (int seed = 0; seed < kProblems; ++seed) {
    CAPTURE(seed);
    const PlanningProblem problem = random_problem(seed);
    const Schedule schedule = random_schedule(problem, seed);
    if (schedule.cost().missed_rows > 0) continue;
    double usd = 0;
    for (int step = 0; step < problem.steps; ++step) {
      usd += schedule.column_usd(step) + schedule.transition_usd(step == 0 ? nullptr : &schedule, step);
    }
    CHECK(usd == doctest::Approx(schedule.cost().usd));
  }
}

TEST_CASE("a move costs the difference of two schedules") {
  for_stretches({}, [](const Schedule& schedule, const Move& move, int first, int end) {
    const double usd = schedule.usd(move, first, end);
    if (usd == kInfeasible) return;
    const Counts before = counts_of(schedule);
    const ScheduleCost old = plain_cost(schedule.problem(), before);
    const ScheduleCost fresh = plain_cost(schedule.problem(), moved(before, move, first, end));
    if (old.missed_rows == fresh.missed_rows) {
      CHECK(usd == doctest::Approx(fresh.usd - old.usd).epsilon(1e-6));
    } else {
      CHECK((usd < 0) == (fresh.missed_rows < old.missed_rows));
    }
  });
}

TEST_CASE("costs of moves one after the other add up to the cost of the schedule") {
  for (int seed = 0; seed < kProblems; ++seed) {
    CAPTURE(seed);
    const PlanningProblem problem = random_problem(seed, {.serverless = false});
    if (problem.must_cover || problem.families.empty()) continue;
    Schedule schedule(problem, Schedule::Running::kGoes);
    double usd = schedule.cost().usd;
    Numbers numbers(seed);
    for (int i = 0; i < 50; ++i) {
      const Move move = random_move(numbers, problem);
      const Stretch stretch = schedule.cheapest(move);
      if (stretch.usd == kInfeasible) continue;
      schedule.apply(move, stretch.first, stretch.end);
      usd += stretch.usd;
    }
    CHECK(schedule.cost().usd == doctest::Approx(usd));
  }
}

TEST_CASE("no move that costs a finite sum breaks a bound, a pool's limit or a life") {
  for (const bool min_life : {false, true}) {
    for_stretches({.min_life = min_life}, [](const Schedule& schedule, const Move& move, int first, int end) {
      if (schedule.usd(move, first, end) == kInfeasible) return;
      CHECK(feasible(schedule.problem(), moved(counts_of(schedule), move, first, end)));
    });
  }
}

TEST_CASE("a move that breaks nothing costs a finite sum") {
  for (const bool min_life : {false, true}) {
    for_stretches({.pools = false, .min_life = min_life},
                  [](const Schedule& schedule, const Move& move, int first, int end) {
                    if (feasible(schedule.problem(), moved(counts_of(schedule), move, first, end))) {
                      CHECK(schedule.usd(move, first, end) != kInfeasible);
                    }
                  });
  }
}

TEST_CASE("the cheapest stretch is that of a look at every stretch") {
  for_moves({}, [](const Schedule& schedule, const Move& move) {
    const Stretch found = schedule.cheapest(move);
    const double least = least_usd(schedule, move);
    // Where everything is covered, a stretch that would leave load is no candidate: it never saves.
    if (found.usd == kInfeasible) {
      CHECK(least >= 0);
    } else {
      CHECK(found.usd == doctest::Approx(least).epsilon(1e-6));
      CHECK(schedule.usd(move, found.first, found.end) == doctest::Approx(found.usd).epsilon(1e-6));
    }
  });
}

TEST_CASE("with a minimum life, a stretch that saves can be taken and saves what it says") {
  for_moves({.min_life = true}, [](const Schedule& schedule, const Move& move) {
    const Stretch found = schedule.cheapest(move);
    if (found.usd < 0) {
      CHECK(schedule.usd(move, found.first, found.end) == doctest::Approx(found.usd).epsilon(1e-6));
    }
  });
}

TEST_CASE("a move that may not save does not") {
  for_moves({}, [](const Schedule& schedule, const Move& move) {
    if (!schedule.may_save(move)) {
      CHECK(least_usd(schedule, move) >= -1e-9);
    }
  });
}

TEST_CASE("a column taken from another schedule brings its load, its cost and its pools") {
  for (int seed = 0; seed < kProblems; ++seed) {
    CAPTURE(seed);
    const PlanningProblem problem = random_problem(seed);
    const Schedule from = random_schedule(problem, seed);
    Schedule to = random_schedule(problem, seed + 1);
    for (int step = 0; step < problem.steps; ++step) {
      to.take_column(from, step);
      CHECK(to.served(step) == doctest::Approx(from.served(step)));
      CHECK(to.column_usd(step) == doctest::Approx(from.column_usd(step)));
    }
    CHECK(counts_of(to) == counts_of(from));
    CHECK(to.cost().usd == doctest::Approx(from.cost().usd));
  }
}

TEST_CASE("one more is there at a step when it begins where it reaches it from") {
  for_moves({}, [](const Schedule& schedule, const Move& move) {
    const int family = move.parts[0].family;
    const PlanningProblem& problem = schedule.problem();
    for (int step = problem.families[static_cast<std::size_t>(family)].first; step < problem.steps; ++step) {
      const int first = schedule.reaches_from(family, step);
      bool allowed = true;
      for (int at = first; at < problem.steps; ++at) allowed = allowed && schedule.allows(move_of(family, 1), at);
      if (allowed) CHECK(schedule.usd(move_of(family, 1), first, problem.steps) != kInfeasible);
    }
  });
}

TEST_CASE("fewer missed rows come first, then dollars") {
  const ScheduleCost cheap{.missed_rows = 10, .usd = 1};
  const ScheduleCost dear{.missed_rows = 0, .usd = 100};
  CHECK(dear.better_than(cheap));
  CHECK_FALSE(cheap.better_than(dear));
  CHECK(ScheduleCost{.missed_rows = 10, .usd = 0.5}.better_than(cheap));
  CHECK_FALSE(cheap.better_than(cheap));
}

TEST_CASE("a load that instances cover exactly is covered, whatever the sum of their capacities rounds to") {
  for (const int count : {3, 691, 1100, 10'000}) {
    const double capacity = 0.1;
    const PlanningProblem problem = compile_problem(
        {{.name = "o", .price_usd_per_hour = 1, .capacity_rows_per_s = capacity, .available = 100'000, .pool = {}}}, {},
        {capacity * count}, {});
    Schedule schedule(problem, Schedule::Running::kStays);
    for (int i = 0; i < count; ++i) schedule.apply(move_of(0, 1), 0, 1);
    CHECK(schedule.fulfilled(0));
    CHECK(schedule.cost().missed_rows == 0);
  }
}

}  // namespace
}  // namespace mark
