// What a cloud bills for a function: AWS Lambda's rule.
#pragma once

#include <chrono>
#include <cstdint>

#include "mark/types.h"

namespace mark {

// A fee for each request, and the time that it ran, in whole quanta. Of a cold one, the time that it took to start is
// part of that: Lambda bills the initialisation since August 2025.
struct FunctionPrice {
  DurationNs quantum{1};
  double usd_per_request = 0;
  double usd_per_s = 0;

  double usd(DurationNs ran) const {
    const std::int64_t quanta = (ran + quantum - DurationNs{1}) / quantum;
    const std::chrono::duration<double> billed = quanta * quantum;
    return usd_per_request + billed.count() * usd_per_s;
  }
};

}  // namespace mark
