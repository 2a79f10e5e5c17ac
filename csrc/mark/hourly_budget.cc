#include "mark/hourly_budget.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <stdexcept>

namespace mark {
namespace {

// Of what many small sums add up to, in the budget's favour.
constexpr double kRounding = 1e-9;

std::int64_t minute_of(TimeNs at) { return std::chrono::floor<std::chrono::minutes>(at).time_since_epoch().count(); }

double checked(double usd_per_hour) {
  if (!(usd_per_hour >= 0)) {
    throw std::invalid_argument("hourly budget: must be a number of dollars, 0 or more");
  }
  return usd_per_hour;
}

std::size_t place_of(std::int64_t minute, int bins) {
  return static_cast<std::size_t>(((minute % bins) + bins) % bins);  // a time may be negative
}

}  // namespace

HourlyBudget::HourlyBudget(double usd_per_hour) : usd_per_hour_(checked(usd_per_hour)) {}

void HourlyBudget::limit(double usd_per_hour) { limit_usd_per_hour_ = checked(usd_per_hour); }

bool HourlyBudget::affords(double usd, TimeNs now) const {
  return spent_usd(now) + usd <= std::min(usd_per_hour_, limit_usd_per_hour_) * (1 + kRounding);
}

void HourlyBudget::spend(double usd, TimeNs at) {
  const std::int64_t minute = minute_of(at);
  Bin& bin = bins_[place_of(minute, kBins)];
  if (bin.minute < minute || bin.usd == 0) {
    bin = {.minute = minute, .usd = usd};
  } else if (bin.minute == minute) {
    bin.usd += usd;
  }  // else it is more than an hour ago
}

double HourlyBudget::spent_usd(TimeNs now) const {
  const std::int64_t minute = minute_of(now);
  double usd = 0;
  for (const Bin& bin : bins_) {
    if (bin.minute > minute - kBins) {
      usd += bin.usd;
    }
  }
  return usd;
}

}  // namespace mark
