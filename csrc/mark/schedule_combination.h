// The best of several schedules, step by step.
#pragma once

#include <vector>

#include "mark/schedule.h"

namespace mark {

// The cheapest schedule whose every step is that of one of the given ones: a shortest path over the steps, exact, in
// O(steps * schedules^2 * families). At least as good as the best of them, which it is where the path would end lives
// too soon or miss more. Not empty; all of one problem, and each keeps to the minimum life.
Schedule best_combination(const std::vector<Schedule>& schedules);

}  // namespace mark
