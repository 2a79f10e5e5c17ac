// How much longer a worker takes than its profile says: learned online, of the batches that it answers.
#pragma once

#include <chrono>

#include "mark/types.h"

namespace mark {

// A profile is a p99, so the mean of observed over predicted would talk it down. This tracks the 99th percentile of
// that ratio by signs alone (Robbins and Monro 1951): a batch that is slower than predicted raises the factor by a
// step, one that is faster lowers it by a ninety-ninth of one, and the two are in balance where one batch in a hundred
// is slower. Steps grow while batches go on telling the same, fourfold with each slower one and twofold with every
// hundred faster ones, so a worker that is five times slower is known after four batches, and one hiccup is next to
// nothing.
//
// Only observations move it: without any it stays as it is, and one that comes after a long silence begins a new run.
//
// Invariant: kFactorMin <= factor() <= kFactorMax.
class ServiceCorrection {
 public:
  // A worker that is faster than its profile is not reckoned with as such: the allowance would pass for speed.
  static constexpr double kFactorMin = 1;
  static constexpr double kFactorMax = 16;
  // What was learned longer ago says nothing of how the worker is now.
  static constexpr DurationNs kStaleAfter = std::chrono::seconds{10};

  // A batch took `observed`, of which up to `allowance` may have been spent on the way, and its profile says
  // `measured`. An observation that took no time is none.
  void observe(DurationNs observed, DurationNs measured, DurationNs allowance, TimeNs now);
  // Begins anew from a single observation.
  void restart(double factor, TimeNs now);

  double factor() const { return factor_; }
  bool is_fresh(TimeNs now) const { return observed_ > TimeNs::min() && now - observed_ <= kStaleAfter; }

 private:
  double factor_ = 1;
  int slower_ = 0;  // batches in a row
  int faster_ = 0;
  TimeNs observed_ = TimeNs::min();  // the last one
};

}  // namespace mark
