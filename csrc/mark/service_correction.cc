#include "mark/service_correction.h"

#include <algorithm>
#include <cmath>

namespace mark {
namespace {

constexpr double kStep = 0.04;
constexpr double kShareSlower = 0.01;
constexpr int kDoublingsMax = 6;
// Three batches in a row that are slower than a 99th percentile are no chance: one in a million.
constexpr int kDoublingsForEachSlower = 2;
constexpr int kFasterBeforeDoubling = 100;

double ratio(DurationNs a, DurationNs b) { return static_cast<double>(a.count()) / static_cast<double>(b.count()); }

}  // namespace

void ServiceCorrection::observe(DurationNs observed, DurationNs measured, DurationNs allowance, TimeNs now) {
  if (observed <= DurationNs::zero()) {
    return;
  }
  if (!is_fresh(now)) {
    slower_ = faster_ = 0;
  }
  observed_ = now;
  const double least = ratio(observed - allowance, measured);
  const double most = ratio(observed, measured);
  if (least > factor_) {
    const double step = std::ldexp(kStep, std::min(kDoublingsForEachSlower * slower_++, kDoublingsMax));
    faster_ = 0;
    factor_ = std::min({factor_ * std::exp(step), least, kFactorMax});
  } else if (most < factor_) {
    const double share = kShareSlower / (1 - kShareSlower);
    const double step = std::ldexp(kStep * share, std::min(faster_++ / kFasterBeforeDoubling, kDoublingsMax));
    slower_ = 0;
    factor_ = std::max({factor_ * std::exp(-step), most, kFactorMin});
  } else {
    slower_ = faster_ = 0;
  }
}

void ServiceCorrection::restart(double factor, TimeNs now) {
  factor_ = std::clamp(factor, kFactorMin, kFactorMax);
  slower_ = faster_ = 0;
  observed_ = now;
}

}  // namespace mark
