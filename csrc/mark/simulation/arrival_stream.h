// When requests arrive: drawn from rates as time passes, or recorded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>

#include "mark/simulation/random.h"
#include "mark/types.h"

namespace mark {

// A Poisson process whose rate is constant from one instant to the next: exponential gaps, begun anew where the rate
// changes, which the process does not notice (it has no memory). Instants that were recorded can be given instead.
//
// Thread safety: none.
// Invariant: next() never goes back, and was drawn from what was offered so far.
class ArrivalStream {
 public:
  explicit ArrivalStream(std::uint64_t seed) : random_(seed) {}

  // Stretches, the first of which begins where what was offered before ends. Throws std::invalid_argument when the
  // ends do not increase, or a rate is negative or not finite; nothing is offered then.
  void offer_rates(std::span<const std::int64_t> ends_ns, std::span<const double> rates_per_s);
  // In order of time, none before what was offered before; throws likewise.
  void offer_instants(std::span<const std::int64_t> instants_ns);

  // The next arrival; TimeNs::max() when what was offered is used up.
  TimeNs next() const { return next_; }
  void pop();

 private:
  struct Stretch {
    TimeNs end;
    double mean_gap_ns = 0;  // 0: nothing arrives
    bool arrives_at_end = false;
  };

  void draw(TimeNs from);

  Random random_;
  std::deque<Stretch> stretches_;
  TimeNs offered_until_;
  TimeNs next_ = TimeNs::max();
  TimeNs last_;  // the instant up to which the process was drawn
};

}  // namespace mark
