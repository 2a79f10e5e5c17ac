// Looks for the cheapest schedule.
#pragma once

#include <vector>

#include "mark/schedule.h"

namespace mark {

struct SearchResult {
  Schedule schedule;
  bool exact = false;  // proven to be the cheapest
};

// The optimum of a small problem by exact_schedule. Else starting schedules, each improved by local search, combined
// step by step, where steps are few and long searched for better ones in corridors around them, then shaken (a few
// instances more somewhere) and improved again as long as there is work left.
//
// given: schedules to begin with beside our own, the last plan's for example; may be empty.
SearchResult cheapest_schedule(const PlanningProblem& problem, const std::vector<Schedule>& given);

}  // namespace mark
