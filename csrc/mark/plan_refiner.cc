#include "mark/plan_refiner.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <utility>

#include "mark/local_search.h"
#include "mark/schedule_search.h"

namespace mark {
namespace {

constexpr double kSecondsPerHour = 3600;

// A new plan that is better than the last one by less than this share is not worth the change.
constexpr double kWorthChanging = 0.005;

std::size_t index(int value) { return static_cast<std::size_t>(value); }

// Explains what a schedule means now, family by family.
class Explanation {
 public:
  Explanation(const Schedule& schedule, const Family& family, int number)
      : schedule_(schedule), problem_(schedule.problem()), family_(family), number_(number) {}

  // Of `count` instances that are there from the first step on.
  PlannedChange of_present(int count) const {
    PlannedChange change = plain(count);
    const int end = end_of_life(count);
    for (int step = family_.first; step < end; ++step) {
      change.usd += std::min(count, schedule_.count(number_, step)) * family_.usd_per_step;
      const double spare = schedule_.served(step) - problem_.forecast_rows_per_s[index(step)];
      if (change.binding_step < 0 || spare < spare_at_binding_) {
        change.binding_step = step;
        spare_at_binding_ = spare;
      }
    }
    change.usd += family_.group < 0 ? count * family_.start_usd : 0.0;
    reject_others(change, end);
    return change;
  }

  // Of `count` running ones that are not needed.
  PlannedChange of_retired(int count) const {
    PlannedChange change = plain(count);
    const int end = problem_.steps;
    change.usd = count * (end - family_.first) * family_.usd_per_step;
    const double extra_usd = schedule_.usd(move_of(number_, 1), family_.first, end);
    if (extra_usd == kInfeasible) {
      return change;  // its pool carries as much as it may
    }
    change.has_alternative = true;
    change.alternative_offering = family_.offering;
    change.alternative_count = 1;
    change.alternative_runs = true;
    change.alternative_extra_usd = std::max(0.0, extra_usd);
    return change;
  }

 private:
  PlannedChange plain(int count) const {
    PlannedChange change;
    change.offering = family_.offering;
    change.group = family_.group;
    change.count = count;
    return change;
  }

  // The step at which the last of `count` is gone.
  int end_of_life(int count) const {
    int end = family_.first + 1;
    while (end < problem_.steps &&
           schedule_.count(number_, end) >= std::min(count, schedule_.count(number_, end - 1)) &&
           schedule_.count(number_, end) > 0) {
      ++end;
    }
    return end;
  }

  // What another kind in its place, or none, would cost more over its life.
  void reject_others(PlannedChange& change, int end) const {
    double least = kInfeasible;
    const auto consider = [&](const Move& move, int offering, int count, bool runs) {
      const double usd = schedule_.usd(move, family_.first, end);
      if (usd < least) {
        least = usd;
        change.has_alternative = true;
        change.alternative_offering = offering;
        change.alternative_count = count;
        change.alternative_runs = runs;
        change.alternative_extra_usd = std::max(0.0, usd);
      }
    };
    if (!problem_.must_cover || problem_.serverless_rows_per_s_max > 0) {
      consider(move_of(number_, -1), -1, 0, false);
    }
    for (int other = 0; other < static_cast<int>(problem_.families.size()); ++other) {
      const Family& each = problem_.families[index(other)];
      if (other == number_ || each.rows_per_s[index(end - 1)] <= 0) {
        continue;
      }
      const double ratio = family_.rows_per_s[index(end - 1)] / each.rows_per_s[index(end - 1)];
      if (ratio < 1e6) {
        const int many = std::max(1, static_cast<int>(std::ceil(ratio - 1e-9)));
        consider(move_of(number_, -1, other, many), each.offering, many, each.group >= 0);
      }
    }
  }

  const Schedule& schedule_;
  const PlanningProblem& problem_;
  const Family& family_;
  int number_;
  mutable double spare_at_binding_ = 0;
};

// Launches first; then retirements, the dearest first, but none while a launch is put off: what it was to replace
// stays.
void keep_to(int moves_max, RefinedPlan& plan) {
  const auto cut = [&](std::vector<PlannedChange>& changes) {
    bool complete = true;
    for (PlannedChange& change : changes) {
      const int count = std::min(change.count, moves_max);
      complete = complete && count == change.count;
      change.usd *= static_cast<double>(count) / change.count;
      change.count = count;
      moves_max -= count;
    }
    std::erase_if(changes, [](const PlannedChange& change) { return change.count == 0; });
    return complete;
  };
  const auto dearer = [](const PlannedChange& a, const PlannedChange& b) {
    const double a_usd = a.usd / a.count;
    const double b_usd = b.usd / b.count;
    return a_usd != b_usd ? a_usd > b_usd : a.group < b.group;
  };
  moves_max = cut(plan.launch) ? moves_max : 0;
  std::sort(plan.retire.begin(), plan.retire.end(), dearer);
  cut(plan.retire);
}

// As many more of a family as are wanted and there is room for; they are wanted no more.
void take_wanted(Schedule& schedule, int f, std::vector<int>& wanted) {
  const PlanningProblem& problem = schedule.problem();
  const Family& family = problem.families[index(f)];
  int most = family.count_max;
  for (int step = family.first; step < problem.steps; ++step) {
    const int here = schedule.count(f, step);
    const int more = std::clamp(std::min(wanted[index(step)], most - here), 0, schedule.room(f, step));
    if (more > 0) {
      schedule.apply(move_of(f, more), step, step + 1);
    }
    most = family.only_shrinks ? here + more : most;
    wanted[index(step)] -= more;
  }
}

}  // namespace

Schedule schedule_of(const PlanningProblem& problem, const std::vector<std::vector<int>>& counts) {
  Schedule schedule(problem, Schedule::Running::kGoes);
  std::vector<std::vector<int>> wanted = counts;
  for (std::vector<int>& each : wanted) {
    each.resize(index(problem.steps), each.empty() ? 0 : each.back());
  }
  const int families = static_cast<int>(problem.families.size());
  const auto wanted_of = [&](int f) {
    const std::size_t offering = index(problem.families[index(f)].offering);
    return offering < wanted.size() ? &wanted[offering] : nullptr;
  };
  for (int f = 0; f < families; ++f) {
    for (int step = 0; step < problem.steps && wanted_of(f) != nullptr; ++step) {
      int& here = (*wanted_of(f))[index(step)];
      here -= std::min(here, schedule.count(f, step));  // what must be kept
    }
  }
  for (int f = 0; f < families; ++f) {
    if (wanted_of(f) != nullptr) {
      take_wanted(schedule, f, *wanted_of(f));
    }
  }
  schedule.lengthen_lives();
  return schedule;
}

RefinedPlan plan_of(const Schedule& schedule, int moves_max) {
  const PlanningProblem& problem = schedule.problem();
  RefinedPlan plan;
  plan.cost = schedule.cost();
  int offerings = 0;
  for (const Family& family : problem.families) {
    offerings = std::max(offerings, family.offering + 1);
  }
  plan.counts.assign(index(offerings), std::vector<int>(index(problem.steps), 0));
  for (int f = 0; f < static_cast<int>(problem.families.size()); ++f) {
    const Family& family = problem.families[index(f)];
    for (int step = family.first; step < problem.steps; ++step) {
      plan.counts[index(family.offering)][index(step)] += schedule.count(f, step);
    }
    const Explanation explanation(schedule, family, f);
    const int present = schedule.count(f, family.first);
    if (family.group >= 0) {
      // What boots may be of no use and still not be retired yet.
      const int stays = family.kept_through > 0 ? family.count_now : present;
      if (stays > 0) plan.keep.push_back(explanation.of_present(stays));
      if (stays < family.count_now) plan.retire.push_back(explanation.of_retired(family.count_now - stays));
    } else if (family.from_now && present > 0) {
      plan.launch.push_back(explanation.of_present(present));
    }
  }
  keep_to(moves_max, plan);
  for (const std::vector<PlannedChange>* changes : {&plan.launch, &plan.keep}) {
    for (const PlannedChange& change : *changes) {
      const auto same = [&](const Family& family) {
        return family.offering == change.offering && family.group == change.group;
      };
      const auto family = std::find_if(problem.families.begin(), problem.families.end(), same);
      plan.usd_per_hour += change.count * family->usd_per_step * kSecondsPerHour / problem.step_s;
    }
  }
  return plan;
}

RefinedPlan refined_plan(const PlanningProblem& problem, const std::vector<std::vector<int>>& last_counts,
                         int moves_max) {
  if (moves_max < 0) {
    throw std::invalid_argument("moves_max is " + std::to_string(moves_max) + "; it must not be negative");
  }
  std::vector<Schedule> given;
  if (!last_counts.empty()) {
    given.push_back(schedule_of(problem, last_counts));
    std::int64_t looks = 20'000;
    improve(given.front(), looks);
    if (!given.front().keeps_min_life()) given.clear();
  }
  SearchResult found = cheapest_schedule(problem, given);
  const bool keeps_last = !given.empty() && [&] {
    const ScheduleCost last = given.front().cost();
    const ScheduleCost best = found.schedule.cost();
    const ScheduleCost hardly{.missed_rows = best.missed_rows, .usd = best.usd * (1 + kWorthChanging)};
    return !hardly.better_than(last);
  }();
  RefinedPlan plan = plan_of(keeps_last ? given.front() : found.schedule, moves_max);
  plan.exact = found.exact && !keeps_last;
  return plan;
}

}  // namespace mark
