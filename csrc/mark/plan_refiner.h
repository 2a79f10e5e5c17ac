// The refined provisioner: schedules to begin with, improved, combined, shaken and improved again.
#pragma once

#include <cstdint>
#include <vector>

#include "mark/planning_problem.h"
#include "mark/schedule.h"

namespace mark {

// Some instances that are launched, retired or kept now.
struct PlannedChange {
  int offering = 0;
  int group = -1;  // index into the running groups; -1: launches
  int count = 0;
  int binding_step = -1;  // where they are missed most; -1: nowhere
  double usd = 0;         // over the horizon; of retired ones, what they would have cost
  // The best that was rejected, and how many of it for each of these; -1 and 0: doing without.
  bool has_alternative = false;
  int alternative_offering = -1;
  int alternative_count = 0;
  bool alternative_runs = false;
  double alternative_extra_usd = 0;
};

struct RefinedPlan {
  std::vector<PlannedChange> launch;
  std::vector<PlannedChange> retire;
  std::vector<PlannedChange> keep;
  ScheduleCost cost;
  double usd_per_hour = 0;               // of what is kept and launched
  std::vector<std::vector<int>> counts;  // instances by offering and step, of the whole schedule
  bool exact = false;                    // proven to be the optimum
};

// The optimum where the problem is small, else the best that the search finds. Deterministic, and bounded in steps
// looked at, not in time.
//
// last_counts: RefinedPlan::counts of the plan before, moved on by the steps that have passed; may be empty. It is kept
// unless the search finds one that is better by more than rounding and a little, so that plans do not flap.
RefinedPlan refined_plan(const PlanningProblem& problem, const std::vector<std::vector<int>>& last_counts,
                         int moves_max);

// A schedule that has so many instances of each offering at each step, as far as running ones and launches allow.
Schedule schedule_of(const PlanningProblem& problem, const std::vector<std::vector<int>>& counts);

// The plan that a schedule means now.
RefinedPlan plan_of(const Schedule& schedule, int moves_max);

}  // namespace mark
