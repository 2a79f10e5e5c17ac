// What the provisioner decides.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace mark {

// One choice of the provisioner: a running instance kept or an offering launched.
struct Choice {
  int offering = 0;                 // index into the offerings
  std::uint64_t instance = 0;       // the instance kept; 0: launch a new one
  int binding_step = 0;             // the step whose unfulfilled load asked for it
  double usd_per_million_rows = 0;  // price per row of this choice when it was made
  int rejected_offering = -1;       // the next best candidate, -1: there was none
  bool rejected_running = false;    // whether that was a running instance
  double rejected_usd_per_million_rows = 0;
};

struct Plan {
  std::vector<Choice> choices;
  std::vector<std::uint64_t> retire;  // instances that no step needs
  // What the plan leaves unserved of the load of the step planned for, because every offering is sold out.
  double uncovered_rows_per_s = 0;
};

}  // namespace mark
