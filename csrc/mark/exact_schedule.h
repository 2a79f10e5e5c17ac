// The optimum of small problems.
#pragma once

#include <optional>

#include "mark/schedule.h"

namespace mark {

// Dynamic programming over the steps, a state for every vector of counts that could be of use: exact. Empty where there
// would be too many states, where a minimum life makes the counts of one step depend on more than those before, and
// where pools have limits.
std::optional<Schedule> exact_schedule(const PlanningProblem& problem);

}  // namespace mark
