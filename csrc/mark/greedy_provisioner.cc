#include "mark/greedy_provisioner.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

namespace mark {

namespace {

// A remainder of this share of the highest rate asks for nothing. Taking away a thousand capacities rounds a thousand
// times, and what is left of a load that they cover exactly must not buy one more.
constexpr double kNegligibleShare = 1e-9;
constexpr double kSecondsPerHour = 3600;

// Equal things that may be chosen: running instances of one offering that serve from the same step on, or an offering.
struct Candidate {
  int offering = 0;
  std::size_t serves_from = 0;           // the first step in which it serves
  double overhead_s = 0;                 // billed before it serves; 0 for running ones
  std::vector<std::uint64_t> instances;  // running ones not chosen yet, the next last
  int left = 0;                          // how many more may be chosen
  bool running = false;
};

// A span of steps, both ends included.
struct Span {
  std::size_t first = 0;
  std::size_t last = 0;
};

void check(bool holds, const std::string& message) {
  if (!holds) throw std::invalid_argument(message);
}

bool usable(double value) { return std::isfinite(value) && value >= 0; }

void check_inputs(const std::vector<Offering>& offerings, const Fleet& fleet, const std::vector<double>& forecast,
                  const ProvisioningParams& params) {
  check(params.step_s > 0 && std::isfinite(params.step_s), "step_s must be positive");
  check(params.lead_steps >= 0, "lead_steps must not be negative");
  check(!forecast.empty(), "the forecast needs at least one step");
  check(std::all_of(forecast.begin(), forecast.end(), usable),
        "every rate of the forecast must be finite, none negative");
  std::string names;
  bool any = false;
  for (const Offering& offering : offerings) {
    check(usable(offering.price_usd_per_hour) && usable(offering.capacity_rows_per_s) &&
              usable(offering.launch_overhead_s) && offering.available >= 0,
          "offering " + offering.name + ": price, capacity, overhead and availability must be finite, none negative");
    any |= offering.capacity_rows_per_s > 0;
    names += (names.empty() ? "" : ", ") + offering.name;
  }
  check(any, "no offering meets the SLO by itself: " + (names.empty() ? "there is none" : names));
  for (const Instance& instance : fleet) {
    check(instance.offering >= 0 && static_cast<std::size_t>(instance.offering) < offerings.size(),
          "instance " + std::to_string(instance.id) + " names offering " + std::to_string(instance.offering) +
              ", which does not exist");
    check(usable(instance.ready_in_s), "ready_in_s must be finite and not negative");
  }
}

// The step that is planned for; a lead beyond the horizon means its last step.
std::size_t target_step(const ProvisioningParams& params, std::size_t steps) {
  return std::min(static_cast<std::size_t>(params.lead_steps), steps - 1);
}

// Running ones first, so that a tie keeps what is there.
std::vector<Candidate> candidates_of(const std::vector<Offering>& offerings, const Fleet& fleet,
                                     const ProvisioningParams& params, std::size_t steps) {
  std::map<std::pair<int, std::size_t>, std::vector<std::uint64_t>> groups;
  for (const Instance& instance : fleet) {
    // Bounded before it becomes an integer: ready_in_s may be any finite number.
    const double steps_until_ready = std::ceil(instance.ready_in_s / params.step_s);
    const auto serves_from = static_cast<std::size_t>(std::min(steps_until_ready, static_cast<double>(steps)));
    groups[{instance.offering, serves_from}].push_back(instance.id);
  }
  std::vector<Candidate> candidates;
  for (auto& [key, ids] : groups) {
    std::sort(ids.begin(), ids.end(), std::greater<>());
    candidates.push_back({.offering = key.first,
                          .serves_from = key.second,
                          .overhead_s = 0,
                          .instances = ids,
                          .left = static_cast<int>(ids.size()),
                          .running = true});
  }
  for (std::size_t i = 0; i < offerings.size(); ++i) {
    candidates.push_back({.offering = static_cast<int>(i),
                          .serves_from = target_step(params, steps),
                          .overhead_s = offerings[i].launch_overhead_s,
                          .instances = {},
                          .left = offerings[i].available,
                          .running = false});
  }
  return candidates;
}

// Algorithm 1 for one forecast: the plan so far, and the load that it leaves.
class Filling {
 public:
  Filling(const std::vector<Offering>& offerings, const Fleet& fleet, std::vector<double> forecast,
          const ProvisioningParams& params)
      : offerings_(offerings),
        step_s_(params.step_s),
        target_(target_step(params, forecast.size())),
        negligible_rows_per_s_(kNegligibleShare * *std::max_element(forecast.begin(), forecast.end())),
        load_left_(std::move(forecast)),
        candidates_(candidates_of(offerings, fleet, params, load_left_.size())) {}

  Plan run() {
    while (unfulfilled(target_)) {
      if (!choose({target_, end_of_run(target_, load_left_.size())}, true)) {
        plan_.uncovered_rows_per_s = load_left_[target_];
        break;
      }
    }
    // Nothing launched now is ready before the target step, so these steps can only keep what runs.
    for (std::size_t step = 0; step < target_;) {
      if (!unfulfilled(step) || !choose({step, end_of_run(step, target_)}, false)) ++step;
    }
    for (const Candidate& candidate : candidates_) {
      plan_.retire.insert(plan_.retire.end(), candidate.instances.begin(), candidate.instances.end());
    }
    std::sort(plan_.retire.begin(), plan_.retire.end());
    return std::move(plan_);
  }

 private:
  bool unfulfilled(std::size_t step) const { return load_left_[step] > negligible_rows_per_s_; }

  // The last step of the unfulfilled run that begins at `first`, before `end`.
  std::size_t end_of_run(std::size_t first, std::size_t end) const {
    std::size_t last = first;
    while (last + 1 < end && unfulfilled(last + 1)) ++last;
    return last;
  }

  // (O_i + (e - tau + 1) P_i) / N_i in dollars per row; empty when it would serve nothing in the span.
  std::optional<double> usd_per_row(const Candidate& candidate, Span span) const {
    const Offering& offering = offerings_[static_cast<std::size_t>(candidate.offering)];
    double rows = 0;
    for (std::size_t step = std::max(span.first, candidate.serves_from); step <= span.last; ++step) {
      rows += std::min(offering.capacity_rows_per_s, load_left_[step]) * step_s_;
    }
    if (rows <= 0) return std::nullopt;
    const double paid_s = candidate.overhead_s + static_cast<double>(span.last - span.first + 1) * step_s_;
    return offering.price_usd_per_hour / kSecondsPerHour * paid_s / rows;
  }

  // Takes the cheapest candidate for the span; false when none would serve anything.
  bool choose(Span span, bool may_launch) {
    Candidate* best = nullptr;
    const Candidate* second = nullptr;
    double best_price = std::numeric_limits<double>::infinity();
    double second_price = std::numeric_limits<double>::infinity();
    for (Candidate& candidate : candidates_) {
      if (candidate.left == 0 || (!candidate.running && !may_launch)) continue;
      const auto price = usd_per_row(candidate, span);
      if (!price) continue;
      if (*price < best_price) {
        second = std::exchange(best, &candidate);
        second_price = std::exchange(best_price, *price);
      } else if (*price < second_price) {
        second = &candidate;
        second_price = *price;
      }
    }
    if (best == nullptr) return false;
    take(*best, span.first, best_price, second, second_price);
    return true;
  }

  void take(Candidate& best, std::size_t step, double price, const Candidate* second, double second_price) {
    Choice choice{.offering = best.offering,
                  .instance = best.running ? best.instances.back() : 0,
                  .binding_step = static_cast<int>(step),
                  .usd_per_million_rows = price * 1e6};
    if (second != nullptr) {
      choice.rejected_offering = second->offering;
      choice.rejected_running = second->running;
      choice.rejected_usd_per_million_rows = second_price * 1e6;
    }
    plan_.choices.push_back(choice);
    --best.left;
    if (best.running) best.instances.pop_back();
    const double capacity = offerings_[static_cast<std::size_t>(best.offering)].capacity_rows_per_s;
    for (std::size_t i = best.serves_from; i < load_left_.size(); ++i) load_left_[i] -= capacity;
  }

  const std::vector<Offering>& offerings_;
  const double step_s_;
  const std::size_t target_;
  const double negligible_rows_per_s_;
  std::vector<double> load_left_;  // rows per second that the plan leaves, by step; negative where it has more
  std::vector<Candidate> candidates_;
  Plan plan_;
};

}  // namespace

Plan provision_greedily(const std::vector<Offering>& offerings, const Fleet& fleet,
                        const std::vector<double>& forecast_rows_per_s, const ProvisioningParams& params) {
  check_inputs(offerings, fleet, forecast_rows_per_s, params);
  return Filling(offerings, fleet, forecast_rows_per_s, params).run();
}

}  // namespace mark
