// What is rented already.
#pragma once

#include <cstdint>
#include <vector>

namespace mark {

// An instance that runs or boots. Retiring ones are not part of it.
struct Instance {
  std::uint64_t id = 0;
  int offering = 0;       // index into the offerings
  double ready_in_s = 0;  // 0: serves now
};

using Fleet = std::vector<Instance>;

}  // namespace mark
