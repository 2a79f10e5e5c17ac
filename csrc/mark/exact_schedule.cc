#include "mark/exact_schedule.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace mark {
namespace {

constexpr std::int64_t kTransitionsMax =
    400'000;  // families times transitions between states: about half a millisecond

// Sums in another order are no better: of equal paths the first wins, which keeps what runs.
constexpr double kRounding = 1e-14;

std::size_t index(int value) { return static_cast<std::size_t>(value); }

// More than covers the highest load alone is of no use, unless it runs already.
int most_useful(const PlanningProblem& problem, const Family& family) {
  if (family.group >= 0) {
    return family.count_now;
  }
  double least = kInfeasible;
  for (int step = family.first; step < problem.steps; ++step) {
    least = std::min(least, family.rows_per_s[index(step)]);
  }
  if (least <= 0) {
    return family.count_max;
  }
  const auto& forecast = problem.forecast_rows_per_s;
  const double load = *std::max_element(forecast.begin(), forecast.end());
  return static_cast<int>(std::min(std::ceil(load / least - 1e-9), static_cast<double>(family.count_max)));
}

// Every vector of counts up to the most of each family.
std::vector<std::vector<int>> all_states(const std::vector<int>& most) {
  std::vector<std::vector<int>> states{std::vector<int>(most.size(), 0)};
  for (std::size_t f = 0; f < most.size(); ++f) {
    const std::size_t known = states.size();
    for (int count = 1; count <= most[f]; ++count) {
      for (std::size_t i = 0; i < known; ++i) {
        states.push_back(states[i]);
        states.back()[f] = count;
      }
    }
  }
  return states;
}

bool small_enough(const PlanningProblem& problem, const std::vector<int>& most) {
  double states = 1;
  for (const int count : most) {
    states *= count + 1.0;
  }
  const double transitions =
      states * states * problem.steps * static_cast<double>(std::max<std::size_t>(1, most.size()));
  return problem.min_life_steps == 1 && problem.pools.empty() && transitions <= static_cast<double>(kTransitionsMax);
}

// A schedule that has the same counts at every step at which they are allowed; infeasible ones are told by the mask.
struct Column {
  Schedule schedule;
  std::vector<bool> allowed;  // by step
};

Column column_of(const PlanningProblem& problem, const std::vector<int>& counts) {
  Column column{.schedule = Schedule(problem, Schedule::Running::kNone),
                .allowed = std::vector<bool>(index(problem.steps), true)};
  for (int step = 0; step < problem.steps; ++step) {
    for (int f = 0; f < static_cast<int>(counts.size()); ++f) {
      const Family& family = problem.families[index(f)];
      const int count = counts[index(f)];
      const bool kept =
          family.group < 0 || step >= family.kept_through || count == family.count_now || step < family.first;
      const bool there = step >= family.first || count == 0;
      if (!kept || !there || (count > 0 && !column.schedule.allows(move_of(f, count), step))) {
        column.allowed[index(step)] = false;
      } else if (count > 0) {
        column.schedule.apply(move_of(f, count), step, step + 1);
      }
    }
  }
  return column;
}

struct Best {
  double usd = kInfeasible;
  std::size_t before = 0;
};

}  // namespace

std::optional<Schedule> exact_schedule(const PlanningProblem& problem) {
  std::vector<int> most;
  most.reserve(problem.families.size());
  for (const Family& family : problem.families) {
    most.push_back(most_useful(problem, family));
  }
  if (!small_enough(problem, most)) {
    return std::nullopt;
  }
  const std::vector<std::vector<int>> states = all_states(most);
  std::vector<Column> columns;
  columns.reserve(states.size());
  for (const std::vector<int>& state : states) {
    columns.push_back(column_of(problem, state));
  }
  std::vector<std::vector<Best>> paths(index(problem.steps), std::vector<Best>(columns.size()));
  for (int step = 0; step < problem.steps; ++step) {
    for (std::size_t here = 0; here < columns.size(); ++here) {
      if (!columns[here].allowed[index(step)]) {
        continue;
      }
      Best& best = paths[index(step)][here];
      const Schedule& schedule = columns[here].schedule;
      for (std::size_t before = 0; before < (step == 0 ? 1 : columns.size()); ++before) {
        const double so_far = step == 0 ? 0.0 : paths[index(step - 1)][before].usd;
        if (so_far == kInfeasible) {
          continue;
        }
        const Schedule* previous = step == 0 ? nullptr : &columns[before].schedule;
        const double usd = so_far + schedule.column_usd(step) + schedule.transition_usd(previous, step);
        if (usd < best.usd * (1 - kRounding)) {
          best = {usd, before};
        }
      }
    }
  }
  const auto cheaper = [](const Best& a, const Best& b) { return a.usd < b.usd; };
  auto at = static_cast<std::size_t>(std::min_element(paths.back().begin(), paths.back().end(), cheaper) -
                                     paths.back().begin());
  if (paths.back()[at].usd == kInfeasible) {
    return std::nullopt;
  }
  Schedule best(problem, Schedule::Running::kNone);
  for (int step = problem.steps - 1; step >= 0; --step) {
    best.take_column(columns[at].schedule, step);
    at = paths[index(step)][at].before;
  }
  return best;
}

}  // namespace mark
