// What the refined provisioner minimises: a forecast, and families of equal instances whose numbers are to be chosen.
#pragma once

#include <vector>

#include "mark/fleet.h"
#include "mark/offering.h"

namespace mark {

struct PlanningParams {
  double step_s = 60;
  double min_life_s = 60;    // billed at least, and kept at least, once it is launched
  double switching_usd = 0;  // counted for each launch, against plans that flap
  Serverless serverless;
  // For what nobody serves. 0: such load is worth any price, so plans cover whatever can be covered.
  double miss_usd_per_million_rows = 0;
};

// Equal instances. Their number at a step is what a schedule says; between first and the end of the horizon.
//
// A family of running instances (group >= 0) begins with count_now and only shrinks; of those that still boot, what
// they cost until they are ready is spent. A family of launches begins with none. Of burstables, whose capacity depends
// on their age, those launched now are a family that only shrinks, too, and the twin of those launched later.
struct Family {
  int offering = 0;
  int group = -1;                  // index into the groups; -1: launches
  std::vector<double> rows_per_s;  // that one of them serves, by step; 0 where it is not ready
  double usd_per_step = 0;         // of one of them, expected cost of interruption included
  double start_usd = 0;            // for each that starts: billed boot, switching; 0 for running ones
  int first = 0;                   // the first step at which it serves
  bool from_now = false;           // launches that serve at `first` are made now
  int kept_through = 0;            // running ones stay in all steps before this one
  int count_now = 0;               // running ones
  int count_max = 0;
  int twin = -1;  // index of the family that has the same offering and shares count_max with this one; -1: none
  bool only_shrinks = false;
  int pool = -1;  // index into the pools; -1: without a limit
};

// At every step, the families of the pool together serve at most rows_per_s[step], or a single instance.
struct Pool {
  std::vector<double> rows_per_s;
};

// Immutable once compiled.
//
// The cost of a schedule n[family][step], in dollars over the horizon:
//   sum over families and steps of n * usd_per_step
//   + sum over families of start_usd for each that starts (n[t] above n[t - 1], from none; not for running ones)
//   + sum over steps of step_s * (served serverless * usd_per_row + missed * miss_usd_per_row)
// where of the load that the families leave, serverless takes up to its limit and the rest is missed. With
// must_cover, a schedule that misses less comes first whatever it costs.
struct PlanningProblem {
  int steps = 0;
  double step_s = 0;
  std::vector<double> forecast_rows_per_s;
  std::vector<Family> families;
  std::vector<Pool> pools;
  double serverless_rows_per_s_max = 0;
  double serverless_usd_per_row = 0;
  double miss_usd_per_row = 0;
  bool must_cover = true;
  int min_life_steps = 1;
};

// Throws std::invalid_argument on a negative or non-finite number, an unknown offering index, an empty forecast or
// catalogue, or when there is load and nothing could ever serve any of it: the message names each offering and the
// constraint that it fails. How many may exist is the caller's to check: an offering says how many more may be
// launched.
PlanningProblem compile_problem(const std::vector<Offering>& offerings, const std::vector<InstanceGroup>& groups,
                                const std::vector<double>& forecast_rows_per_s, const PlanningParams& params);

}  // namespace mark
