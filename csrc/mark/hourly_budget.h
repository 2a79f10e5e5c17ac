// Dollars that may be spent in any hour.
#pragma once

#include <array>
#include <cstdint>
#include <limits>

#include "mark/types.h"

namespace mark {

// A sliding hour in bins of a minute: what was spent is forgotten between 60 and 61 minutes later, so that no hour,
// wherever it begins, costs more than the budget. A bucket of tokens would allow twice of it.
//
// Thread safety: none.
class HourlyBudget {
 public:
  explicit HourlyBudget(double usd_per_hour);  // throws std::invalid_argument when it is negative or no number

  void limit(double usd_per_hour);  // from now on no more than that either, which may change; throws as above
  bool affords(double usd, TimeNs now) const;
  // Spends; or gives back, when negative, what was taken to be spent at that time.
  void spend(double usd, TimeNs at);
  double spent_usd(TimeNs now) const;  // in the last hour

 private:
  static constexpr int kBins = 61;
  struct Bin {
    std::int64_t minute = 0;
    double usd = 0;
  };

  double usd_per_hour_;
  double limit_usd_per_hour_ = std::numeric_limits<double>::infinity();
  std::array<Bin, kBins> bins_{};
};

}  // namespace mark
