// MArk's Algorithm 1 (USENIX ATC'19, section 4.4), with its misprints corrected.
#pragma once

#include <vector>

#include "mark/fleet.h"
#include "mark/offering.h"
#include "mark/plan.h"

namespace mark {

struct ProvisioningParams {
  double step_s = 60;
  int lead_steps = 5;  // tau: new instances serve from this step on (0-based: steps before it are already decided)
};

// Candidates are the offerings (billed their launch overhead) and the running instances (none, usable once). While the
// load at step tau is unfulfilled, let e be the last step of the unfulfilled run that starts at tau and take the
// candidate with the least  (O_i + (e - tau + 1) P_i) / N_i,  N_i = sum over tau..e of min(C_i, load left) times step.
// Ties go to the running instance, then to the earlier offering. Then, which the paper leaves out, instances that the
// steps before tau need are kept, and one that is still booting counts from the step in which it is ready.
//
// forecast: rows per second, the maximum of each step; step 0 is now. Throws std::invalid_argument on a negative or
// non-finite number, an unknown offering index, an empty forecast, or when no offering meets the SLO at all
// (every capacity 0): the message names each offering.
Plan provision_greedily(const std::vector<Offering>& offerings, const Fleet& fleet,
                        const std::vector<double>& forecast_rows_per_s, const ProvisioningParams& params);

}  // namespace mark
