#include "mark/planning_problem.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>

namespace mark {
namespace {

constexpr double kSecondsPerHour = 3600;
constexpr int kCountMax = 1 << 30;  // sums and differences of counts stay integers

void check(bool holds, const std::string& message) {
  if (!holds) {
    throw std::invalid_argument(message);
  }
}

bool usable(double value) { return std::isfinite(value) && value >= 0; }

void check_offering(const Offering& offering) {
  check(usable(offering.price_usd_per_hour), "offering " + offering.name + ": its price must be finite, not negative");
  check(usable(offering.capacity_rows_per_s),
        "offering " + offering.name + ": its capacity must be finite, not negative");
  check(usable(offering.launch_overhead_s) && usable(offering.boot_s) && usable(offering.unavailable_until_s) &&
            usable(offering.interruptions_per_hour),
        "offering " + offering.name +
            ": boot, launch overhead, unavailable_until and interruptions must be finite, not negative");
  check(offering.credits_s >= 0, "offering " + offering.name + ": its credits must not be negative");
  check(offering.available >= 0, "offering " + offering.name + ": available must not be negative");
  check(offering.pool_share_max > 0 && offering.pool_share_max <= 1 && offering.baseline_share >= 0 &&
            offering.baseline_share <= 1,
        "offering " + offering.name + ": pool_share_max must lie in (0, 1], baseline_share in [0, 1]");
}

void check_inputs(const std::vector<Offering>& offerings, const std::vector<InstanceGroup>& groups,
                  const std::vector<double>& forecast, const PlanningParams& params) {
  check(params.step_s > 0 && std::isfinite(params.step_s), "step_s must be positive");
  check(usable(params.min_life_s) && usable(params.switching_usd) && usable(params.miss_usd_per_million_rows) &&
            usable(params.serverless.usd_per_million_rows) && usable(params.serverless.rows_per_s_max),
        "min_life_s, switching_usd, and the prices and limits of what is not served by instances must be finite, not "
        "negative");
  check(!forecast.empty(), "the forecast needs at least one step");
  for (std::size_t step = 0; step < forecast.size(); ++step) {
    check(usable(forecast[step]), "the forecast of step " + std::to_string(step) + " is " +
                                      std::to_string(forecast[step]) + "; it must be finite and not negative");
  }
  check(!offerings.empty(), "the catalogue is empty: there is nothing to plan with");
  std::for_each(offerings.begin(), offerings.end(), check_offering);
  for (const InstanceGroup& group : groups) {
    check(group.offering >= 0 && static_cast<std::size_t>(group.offering) < offerings.size(),
          "a running group names offering " + std::to_string(group.offering) + ", which does not exist");
    check(group.count >= 0 && group.count <= kCountMax,
          "a running group has " + std::to_string(group.count) + " instances; a count must lie between 0 and 2^30");
    check(usable(group.ready_in_s) && usable(group.kept_for_s),
          "ready_in_s and kept_for_s of a running group must be finite, not negative");
    check(group.credits_s >= 0, "credits_s of a running group must not be negative");
  }
}

// Compiles one problem.
class Compiler {
 public:
  Compiler(const std::vector<Offering>& offerings, const std::vector<InstanceGroup>& groups,
           const std::vector<double>& forecast, const PlanningParams& params)
      : offerings_(offerings), groups_(groups), params_(params) {
    problem_.steps = static_cast<int>(forecast.size());
    problem_.step_s = params.step_s;
    problem_.forecast_rows_per_s = forecast;
    problem_.serverless_rows_per_s_max = params.serverless.rows_per_s_max;
    problem_.serverless_usd_per_row = params.serverless.usd_per_million_rows / 1e6;
    problem_.min_life_steps = std::max(1, steps_of(params.min_life_s));
    problem_.must_cover = params.miss_usd_per_million_rows == 0;
    problem_.miss_usd_per_row = params.miss_usd_per_million_rows / 1e6;
  }

  PlanningProblem run() {
    for (std::size_t group = 0; group < groups_.size(); ++group) {
      add_running(static_cast<int>(group));
    }
    for (std::size_t offering = 0; offering < offerings_.size(); ++offering) {
      add_launches(static_cast<int>(offering));
    }
    check_feasible();
    if (problem_.must_cover) {
      problem_.miss_usd_per_row = covering_price();
    }
    return std::move(problem_);
  }

 private:
  const Offering& offering(int index) const { return offerings_[static_cast<std::size_t>(index)]; }

  // Steps that begin before so many seconds have passed; bounded, for seconds may be any finite number.
  int steps_of(double seconds) const {
    return static_cast<int>(std::min(std::ceil(seconds / problem_.step_s - 1e-9), static_cast<double>(problem_.steps)));
  }

  // What a row costs on the dearest instances that serve for one step, and more: a miss is never worth it.
  double covering_price() const {
    double most = problem_.serverless_usd_per_row;
    for (const Family& family : problem_.families) {
      for (const double rows_per_s : family.rows_per_s) {
        if (rows_per_s > 0) {
          most = std::max(most, (family.start_usd + family.usd_per_step) / (rows_per_s * problem_.step_s));
        }
      }
    }
    return 100 * std::max(most, 1e-9);
  }

  // Capacity by step of an instance that serves from `ready` on: full while credits last, then the baseline.
  std::vector<double> capacity_of(const Offering& each, int ready, double credits_s) const {
    std::vector<double> rows_per_s(static_cast<std::size_t>(problem_.steps), 0.0);
    for (int step = ready; step < problem_.steps; ++step) {
      const double spent_s = (step - ready) * problem_.step_s;
      // Credits that run out within a step do not carry its maximum.
      const bool full = spent_s + problem_.step_s <= credits_s;
      rows_per_s[static_cast<std::size_t>(step)] = each.capacity_rows_per_s * (full ? 1.0 : each.baseline_share);
    }
    return rows_per_s;
  }

  // An interruption costs the boot of its replacement, and what the fleet cannot serve until then.
  double usd_per_step(const Offering& each) const {
    const double price_usd_per_s = each.price_usd_per_hour / kSecondsPerHour;
    double row_usd = problem_.must_cover ? 0.0 : problem_.miss_usd_per_row;
    if (problem_.serverless_rows_per_s_max > 0) {
      row_usd = problem_.serverless_usd_per_row;
    }
    const double interruption_usd =
        each.launch_overhead_s * price_usd_per_s + each.boot_s * each.capacity_rows_per_s * row_usd;
    const double expected_usd_per_s = each.interruptions_per_hour / kSecondsPerHour * interruption_usd;
    return (price_usd_per_s + expected_usd_per_s) * problem_.step_s;
  }

  int pool_of(const Offering& each) {
    if (each.pool_share_max >= 1) {
      return -1;
    }
    const auto [at, fresh] =
        pools_.try_emplace(each.pool.empty() ? each.name : each.pool, static_cast<int>(problem_.pools.size()));
    if (fresh) {
      problem_.pools.emplace_back();
      problem_.pools.back().rows_per_s.assign(static_cast<std::size_t>(problem_.steps), 0.0);
    }
    std::vector<double>& limit = problem_.pools[static_cast<std::size_t>(at->second)].rows_per_s;
    for (std::size_t step = 0; step < limit.size(); ++step) {
      const double share = each.pool_share_max * problem_.forecast_rows_per_s[step];
      limit[step] = std::max({limit[step], share, each.capacity_rows_per_s});
    }
    return at->second;
  }

  void add_running(int group) {
    const InstanceGroup& running = groups_[static_cast<std::size_t>(group)];
    const Offering& each = offering(running.offering);
    if (running.count == 0) {
      return;
    }
    // What boots beyond the horizon is left alone, and counts for its last step as it did when it was launched for it.
    const int boots = steps_of(running.ready_in_s);
    const int ready = std::min(boots, problem_.steps - 1);
    problem_.families.push_back({.offering = running.offering,
                                 .group = group,
                                 .rows_per_s = capacity_of(each, ready, std::min(running.credits_s, each.credits_s)),
                                 .usd_per_step = usd_per_step(each),
                                 .first = ready,
                                 .kept_through = boots < problem_.steps ? steps_of(running.kept_for_s) : problem_.steps,
                                 .count_now = running.count,
                                 .count_max = running.count,
                                 .only_shrinks = true,
                                 .pool = pool_of(each)});
  }

  void add_launches(int index) {
    const Offering& each = offering(index);
    const bool now = each.unavailable_until_s <= 0;
    int ready = steps_of(each.unavailable_until_s + each.boot_s);
    if (now) {
      ready = std::min(ready, problem_.steps - 1);  // a boot beyond the horizon is planned for its last step
    }
    if (each.available == 0 || each.capacity_rows_per_s <= 0 || ready >= problem_.steps) {
      return;
    }
    Family family{
        .offering = index,
        .rows_per_s = capacity_of(each, ready, std::numeric_limits<double>::infinity()),
        .usd_per_step = usd_per_step(each),
        .start_usd = each.price_usd_per_hour / kSecondsPerHour * each.launch_overhead_s + params_.switching_usd,
        .first = ready,
        .from_now = now,
        .count_max = std::min(each.available, kCountMax),
        .pool = pool_of(each)};
    if (std::isinf(each.credits_s) || each.baseline_share >= 1) {
      problem_.families.push_back(std::move(family));
      return;
    }
    // Burstables launched now have their credits; of those launched later only the baseline is counted on.
    const int index_now = static_cast<int>(problem_.families.size());
    if (now) {
      Family fresh = family;
      fresh.twin = each.baseline_share > 0 ? index_now + 1 : -1;
      family.twin = index_now;
      fresh.rows_per_s = capacity_of(each, ready, each.credits_s);
      fresh.only_shrinks = true;
      problem_.families.push_back(std::move(fresh));
    }
    family.rows_per_s = capacity_of(each, ready, 0);
    if (each.baseline_share > 0) {
      problem_.families.push_back(std::move(family));
    }
  }

  void check_feasible() const {
    const std::vector<double>& forecast = problem_.forecast_rows_per_s;
    const auto positive = [](double rate) { return rate > 0; };
    const bool any_load = std::any_of(forecast.begin(), forecast.end(), positive);
    const bool any_capacity =
        std::any_of(problem_.families.begin(), problem_.families.end(), [&](const Family& family) {
          return std::any_of(family.rows_per_s.begin(), family.rows_per_s.end(), positive);
        });
    if (!any_load || any_capacity || problem_.serverless_rows_per_s_max > 0) {
      return;
    }
    std::string reasons;
    for (const Offering& each : offerings_) {
      reasons += (reasons.empty() ? "" : "; ") + each.name + ": " + why_not(each);
    }
    throw std::invalid_argument("no offering can serve the load: " + reasons);
  }

  std::string why_not(const Offering& each) const {
    if (each.capacity_rows_per_s <= 0) {
      return "does not meet the SLO by itself";
    }
    if (each.available == 0) {
      return "no more of it may be launched (max_count)";
    }
    if (each.baseline_share <= 0 && each.unavailable_until_s <= 0) {
      return "has no credits for a whole step, and serves nothing without";
    }
    return "unavailable for " + std::to_string(std::lround(each.unavailable_until_s)) +
           " s, and not ready within the horizon after that";
  }

  const std::vector<Offering>& offerings_;
  const std::vector<InstanceGroup>& groups_;
  const PlanningParams& params_;
  std::map<std::string, int> pools_;
  PlanningProblem problem_;
};

}  // namespace

PlanningProblem compile_problem(const std::vector<Offering>& offerings, const std::vector<InstanceGroup>& groups,
                                const std::vector<double>& forecast_rows_per_s, const PlanningParams& params) {
  check_inputs(offerings, groups, forecast_rows_per_s, params);
  return Compiler(offerings, groups, forecast_rows_per_s, params).run();
}

}  // namespace mark
