// Improves a schedule move by move until none of a neighbourhood improves it.
#pragma once

#include <cstdint>
#include <vector>

#include "mark/schedule.h"

namespace mark {

// Families that a search may bring in: not those that another is never worse than and never lacks.
std::vector<int> useful_families(const PlanningProblem& problem);

// The neighbourhood, each over whichever steps are best for it: drop one; add one; replace one by another kind, two by
// one, one by two, as many as come close; two kinds by one, one by two kinds. A move that improves is made as often at
// once as it goes on to improve, so that large fleets take few more moves than small ones.
//
// `looks` is how many steps of schedules it may look at, and is reduced by those that it did: a bound on its time that
// is the same on every machine. Deterministic: the order of moves is fixed.
void improve(Schedule& schedule, std::int64_t& looks, bool pairs = true);

}  // namespace mark
