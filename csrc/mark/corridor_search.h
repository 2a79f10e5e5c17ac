// The best of all schedules near one, as far as a few families go.
#pragma once

#include <cstdint>
#include <vector>

#include "mark/schedule.h"

namespace mark {

// Families that a corridor may be laid around. None where a minimum life or a pool ties more together than its states
// know; none that share a bound with their twin.
std::vector<int> corridor_families(const PlanningProblem& problem);

// Makes a schedule the cheapest of all that have, at every step, up to two instances more or fewer of each of three
// families, or up to five of each of one or two; the other families stay as they are. Exact, by dynamic programming
// over the steps with a state for every vector of changes: the corridor method of Sniedovich and Voss ("The corridor
// method: a dynamic programming inspired metaheuristic", Control and Cybernetics 35(3), 2006).
//
// Returns whether it is cheaper now.
//
// families: one to three different ones of corridor_families. looks: as for `improve`; may end below 0.
bool search_corridor(Schedule& schedule, const std::vector<int>& families, std::int64_t& looks);

}  // namespace mark
