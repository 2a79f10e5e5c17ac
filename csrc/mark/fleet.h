// What is rented already.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

namespace mark {

// An instance that runs or boots. Retiring ones are not part of it.
struct Instance {
  std::uint64_t id = 0;
  int offering = 0;       // index into the offerings
  double ready_in_s = 0;  // 0: serves now
};

using Fleet = std::vector<Instance>;

// Instances that are alike in everything that matters to a plan: counted, so that a plan for ten thousand costs no more
// than one for ten.
struct InstanceGroup {
  int offering = 0;  // index into the offerings
  int count = 0;
  double ready_in_s = 0;                                       // 0: they serve now
  double kept_for_s = 0;                                       // not to be retired before: minimum life, cool-down
  double credits_s = std::numeric_limits<double>::infinity();  // that a burstable still serves at full capacity
};

}  // namespace mark
