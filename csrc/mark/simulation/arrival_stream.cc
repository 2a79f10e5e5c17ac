#include "mark/simulation/arrival_stream.h"

#include <cmath>
#include <stdexcept>
#include <string>

namespace mark {
namespace {

void check_order(TimeNs before, TimeNs end, bool may_be_equal) {
  if (end < before || (end == before && !may_be_equal)) {
    throw std::invalid_argument("arrivals: " + std::to_string(end.time_since_epoch().count()) + " ns follows " +
                                std::to_string(before.time_since_epoch().count()) + " ns; times must increase");
  }
}

}  // namespace

void ArrivalStream::offer_rates(std::span<const std::int64_t> ends_ns, std::span<const double> rates_per_s) {
  if (ends_ns.size() != rates_per_s.size()) {
    throw std::invalid_argument("arrivals: needs one rate for each end");
  }
  TimeNs until = offered_until_;
  for (std::size_t i = 0; i < ends_ns.size(); ++i) {
    const TimeNs end{DurationNs{ends_ns[i]}};
    check_order(until, end, false);
    if (!(rates_per_s[i] >= 0) || !std::isfinite(rates_per_s[i])) {
      throw std::invalid_argument("arrivals: a rate must be finite and not negative");
    }
    until = end;
  }
  for (std::size_t i = 0; i < ends_ns.size(); ++i) {
    const TimeNs end{DurationNs{ends_ns[i]}};
    stretches_.push_back({.end = end, .mean_gap_ns = rates_per_s[i] > 0 ? 1e9 / rates_per_s[i] : 0.0});
  }
  offered_until_ = until;
  if (next_ == TimeNs::max()) {
    draw(last_);
  }
}

void ArrivalStream::offer_instants(std::span<const std::int64_t> instants_ns) {
  TimeNs until = offered_until_;
  for (const std::int64_t instant_ns : instants_ns) {
    const TimeNs instant{DurationNs{instant_ns}};
    check_order(until, instant, true);
    until = instant;
  }
  for (const std::int64_t instant_ns : instants_ns) {
    stretches_.push_back({.end = TimeNs{DurationNs{instant_ns}}, .arrives_at_end = true});
  }
  offered_until_ = until;
  if (next_ == TimeNs::max()) {
    draw(last_);
  }
}

void ArrivalStream::pop() { draw(next_); }

void ArrivalStream::draw(TimeNs from) {
  while (!stretches_.empty()) {
    const Stretch& stretch = stretches_.front();
    if (stretch.mean_gap_ns > 0) {
      const double gap_ns = random_.exponential() * stretch.mean_gap_ns;
      const double left_ns = static_cast<double>((stretch.end - from).count());
      if (gap_ns < left_ns) {
        next_ = last_ = from + DurationNs{static_cast<std::int64_t>(gap_ns)};
        return;
      }
    }
    from = last_ = stretch.end;
    const bool arrives = stretch.arrives_at_end;
    stretches_.pop_front();
    if (arrives) {
      next_ = from;
      return;
    }
  }
  next_ = TimeNs::max();
}

}  // namespace mark
