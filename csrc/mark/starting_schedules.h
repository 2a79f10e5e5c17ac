// Schedules to begin a search from: each is a plan of its own, made by a rule that a person can follow.
#pragma once

#include "mark/schedule.h"

namespace mark {

// MArk's Algorithm 1 (USENIX ATC'19, section 4.4) for all steps in the order of time: while a step is unfulfilled, take
// the candidate with the least dollars per row over the unfulfilled run that begins there.
Schedule greedy_in_order_of_time(const PlanningProblem& problem);

// The same, but a candidate may stay for longer or shorter than the run: as long as its dollars per row are least.
Schedule greedy_with_look_ahead(const PlanningProblem& problem);

// Instances of one family alone cover what they reach, the running ones the steps before; a gap shorter than a launch
// is worth is bridged.
Schedule single_family(const PlanningProblem& problem, int family);

// As many of each family as a single step of the highest load needs at least cost (a covering knapsack by dynamic
// programming over the load), for the whole horizon: the optimum where the forecast is flat and a few instances cover
// it, and within the rounding of capacities to a 4096th of the load where many do.
Schedule flat_cover(const PlanningProblem& problem);

// For each step the cheapest cover of its load alone, as if launches cost nothing, with no look ahead: to a 4096th of
// the highest load.
Schedule cover_of_each_step(const PlanningProblem& problem);

}  // namespace mark
