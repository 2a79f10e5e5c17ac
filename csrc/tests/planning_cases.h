// Small planning problems made from a seed, and what a schedule of one costs by a plain reading of its definition.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "mark/planning_problem.h"
#include "mark/schedule.h"

namespace mark::planning_cases {

// The same numbers on every machine.
class Numbers {
 public:
  explicit Numbers(int seed) : state_(static_cast<std::uint64_t>(seed) * 2654435761U + 1) {}

  int below(int bound) {
    state_ = state_ * 6364136223846793005ULL + 1442695040888963407ULL;
    return static_cast<int>((state_ >> 33U) % static_cast<std::uint64_t>(bound));
  }
  int between(int least, int most) { return least + below(most - least + 1); }
  bool one_in(int count) { return below(count) == 0; }

 private:
  std::uint64_t state_;
};

// What may be in a problem; all of it is rare enough that most problems have little.
struct Kinds {
  int steps_max = 6;
  int offerings_max = 3;
  int rate_max = 12;
  int count_max = 4;
  bool pools = true;
  bool credits = true;
  bool serverless = true;
  bool priced_misses = true;
  bool min_life = false;
};

inline Offering random_offering(Numbers& numbers, const Kinds& kinds, int index) {
  Offering offering{.name = "o" + std::to_string(index),
                    .price_usd_per_hour = 60.0 * numbers.between(1, 9),
                    .capacity_rows_per_s = static_cast<double>(numbers.between(1, 6)),
                    .launch_overhead_s = 60.0 * numbers.below(4),
                    .available = numbers.between(0, kinds.count_max),
                    .pool = {}};
  offering.boot_s = 60.0 * numbers.below(3);
  offering.unavailable_until_s = numbers.one_in(6) ? 60.0 : 0.0;
  offering.interruptions_per_hour = numbers.one_in(3) ? 2.0 : 0.0;
  if (kinds.credits && numbers.one_in(4)) {
    offering.baseline_share = 0.5 * numbers.below(2);
    offering.credits_s = 60.0 * numbers.below(3);
  }
  if (kinds.pools && numbers.one_in(4)) {
    offering.pool = "zone";
    offering.pool_share_max = 0.25 * numbers.between(1, 3);
  }
  return offering;
}

inline PlanningParams random_params(Numbers& numbers, const Kinds& kinds) {
  PlanningParams params;
  params.switching_usd = numbers.one_in(4) ? 2.0 : 0.0;
  if (kinds.min_life) {
    params.min_life_s = 60.0 * numbers.between(2, 4);
  }
  if (kinds.serverless && numbers.one_in(4)) {
    params.serverless = {.usd_per_million_rows = 1e4 * numbers.between(1, 9), .rows_per_s_max = 3};
  }
  if (kinds.priced_misses && numbers.one_in(3)) {
    params.miss_usd_per_million_rows = 1e4 * numbers.between(1, 9);
  }
  return params;
}

// The last offering can always be launched and has no limits, so that there is a plan.
inline PlanningProblem random_problem(int seed, const Kinds& kinds = {}) {
  Numbers numbers(seed);
  std::vector<Offering> offerings;
  std::vector<InstanceGroup> groups;
  const int count = numbers.between(1, kinds.offerings_max);
  for (int index = 0; index < count; ++index) {
    offerings.push_back(random_offering(numbers, kinds, index));
    if (numbers.one_in(2)) {
      groups.push_back({.offering = index,
                        .count = numbers.between(1, kinds.count_max),
                        .ready_in_s = 60.0 * (numbers.one_in(3) ? numbers.below(3) : 0),
                        .kept_for_s = numbers.one_in(4) ? 60.0 * numbers.below(3) : 0.0});
    }
  }
  offerings.back().available = kinds.count_max;
  offerings.back().unavailable_until_s = 0;
  offerings.back().baseline_share = 1;
  std::vector<double> forecast;
  const int steps = numbers.between(1, kinds.steps_max);
  forecast.reserve(static_cast<std::size_t>(steps));
  for (int step = 0; step < steps; ++step) {
    forecast.push_back(numbers.between(0, kinds.rate_max));
  }
  return compile_problem(offerings, groups, forecast, random_params(numbers, kinds));
}

using Counts = std::vector<std::vector<int>>;  // by family and step

inline Counts counts_of(const Schedule& schedule) {
  const PlanningProblem& problem = schedule.problem();
  Counts counts(problem.families.size(), std::vector<int>(static_cast<std::size_t>(problem.steps)));
  for (std::size_t f = 0; f < counts.size(); ++f) {
    for (std::size_t step = 0; step < counts[f].size(); ++step) {
      counts[f][step] = schedule.count(static_cast<int>(f), static_cast<int>(step));
    }
  }
  return counts;
}

inline Counts moved(Counts counts, const Move& move, int first, int end) {
  for (int i = 0; i < move.size; ++i) {
    const Move::Part& part = move.parts[static_cast<std::size_t>(i)];
    for (int step = first; step < end; ++step) {
      counts[static_cast<std::size_t>(part.family)][static_cast<std::size_t>(step)] += part.change;
    }
  }
  return counts;
}

inline double served(const PlanningProblem& problem, const Counts& counts, std::size_t step, int pool = -1) {
  double rows_per_s = 0;
  for (std::size_t f = 0; f < counts.size(); ++f) {
    if (pool < 0 || problem.families[f].pool == pool) {
      rows_per_s += counts[f][step] * problem.families[f].rows_per_s[step];
    }
  }
  return rows_per_s;
}

// The definition in planning_problem.h, word by word.
inline ScheduleCost plain_cost(const PlanningProblem& problem, const Counts& counts) {
  ScheduleCost cost;
  for (std::size_t f = 0; f < counts.size(); ++f) {
    const Family& family = problem.families[f];
    for (std::size_t step = 0; step < counts[f].size(); ++step) {
      const int before = step == 0 ? 0 : counts[f][step - 1];
      const int started = family.group >= 0 ? 0 : std::max(0, counts[f][step] - before);
      cost.usd += counts[f][step] * family.usd_per_step + started * family.start_usd;
    }
  }
  for (std::size_t step = 0; step < problem.forecast_rows_per_s.size(); ++step) {
    const double left = std::max(0.0, problem.forecast_rows_per_s[step] - served(problem, counts, step));
    const double serverless = std::min(left, problem.serverless_rows_per_s_max);
    const double missed_rows = (left - serverless) * problem.step_s;
    cost.usd += serverless * problem.step_s * problem.serverless_usd_per_row;
    (problem.must_cover ? cost.missed_rows : cost.usd) +=
        missed_rows * (problem.must_cover ? 1.0 : problem.miss_usd_per_row);
  }
  return cost;
}

inline bool keeps_bounds(const Family& family, const std::vector<int>& counts) {
  for (std::size_t at = 0; at < counts.size(); ++at) {
    const int step = static_cast<int>(at);
    const bool kept = family.group < 0 || step < family.first || step >= family.kept_through;
    const bool shrinks = !family.only_shrinks || step <= family.first || counts[at] <= counts[at - 1];
    if (counts[at] < 0 || counts[at] > family.count_max || (step < family.first && counts[at] > 0) ||
        (!kept && counts[at] != family.count_now) || !shrinks) {
      return false;
    }
  }
  return true;
}

// Each that starts is there for min_life_steps, or to the end: first come, first to go.
inline bool keeps_life(const Family& family, const std::vector<int>& counts, int min_life_steps) {
  std::vector<int> started;  // the steps at which those that are there began
  for (std::size_t at = 0; at < counts.size() && family.group < 0; ++at) {
    const auto count = static_cast<std::size_t>(std::max(0, counts[at]));
    while (started.size() > count) {
      if (static_cast<int>(at) - started.front() < min_life_steps) {
        return false;
      }
      started.erase(started.begin());
    }
    started.resize(count, static_cast<int>(at));
  }
  return true;
}

inline bool keeps_count_max(const Family& family, const std::vector<int>& counts, const std::vector<int>& twins) {
  for (std::size_t step = 0; step < counts.size(); ++step) {
    if (counts[step] + twins[step] > family.count_max) {
      return false;
    }
  }
  return true;
}

// Whether counts keep to the bounds of their families, to the minimum life, and launches to the limits of the pools.
inline bool feasible(const PlanningProblem& problem, const Counts& counts) {
  for (std::size_t f = 0; f < counts.size(); ++f) {
    const Family& family = problem.families[f];
    if (!keeps_bounds(family, counts[f]) || !keeps_life(family, counts[f], problem.min_life_steps)) {
      return false;
    }
    if (family.twin >= 0 && !keeps_count_max(family, counts[f], counts[static_cast<std::size_t>(family.twin)])) {
      return false;
    }
    for (std::size_t step = 0; step < counts[f].size() && family.pool >= 0 && family.group < 0; ++step) {
      const double limit = problem.pools[static_cast<std::size_t>(family.pool)].rows_per_s[step];
      const bool serves = counts[f][step] > 0 && family.rows_per_s[step] > 0;
      if (serves && served(problem, counts, step, family.pool) > limit + 1e-9) {
        return false;
      }
    }
  }
  return true;
}

// Of up to three families, each once.
inline Move random_move(Numbers& numbers, const PlanningProblem& problem) {
  Move move;
  const int families = static_cast<int>(problem.families.size());
  const int size = std::min(families, numbers.between(1, 3));
  const int from = numbers.below(families);
  for (int i = 0; i < size; ++i) {
    const int change = numbers.between(1, 2) * (numbers.one_in(2) ? 1 : -1);
    move.parts[static_cast<std::size_t>(i)] = {.family = (from + i) % families, .change = change};
  }
  move.size = size;
  return move;
}

// What is left of a few moves at random that break nothing.
inline Schedule random_schedule(const PlanningProblem& problem, int seed) {
  Numbers numbers(seed + 7919);
  Schedule schedule(problem, numbers.one_in(2) ? Schedule::Running::kStays : Schedule::Running::kGoes);
  for (int i = 0; i < 40 && !problem.families.empty(); ++i) {
    const Move move = random_move(numbers, problem);
    const int first = numbers.below(problem.steps);
    const int end = numbers.between(first + 1, problem.steps);
    if (schedule.usd(move, first, end) != kInfeasible) {
      schedule.apply(move, first, end);
    }
  }
  return schedule;
}

}  // namespace mark::planning_cases
