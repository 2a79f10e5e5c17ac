#include "mark/starting_schedules.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <limits>
#include <vector>

namespace mark {
namespace {

std::size_t index(int value) { return static_cast<std::size_t>(value); }

struct Choice {
  int family = -1;
  int first = 0;
  int end = 0;
  int count = 0;
  double usd_per_row = std::numeric_limits<double>::infinity();
};

// The last step after `step` up to which every step is uncovered, and one more.
int end_of_run(const Schedule& schedule, int step) {
  while (step < schedule.problem().steps && !schedule.fulfilled(step)) {
    ++step;
  }
  return step;
}

// How many of the same may be taken before one of them serves less than all its capacity somewhere.
int equal_choices(const Schedule& schedule, const Family& family, int step, int end) {
  double fewest = std::numeric_limits<double>::infinity();
  for (int at = step; at < end; ++at) {
    const double capacity = family.rows_per_s[index(at)];
    if (capacity > 0) {
      fewest = std::min(fewest, std::floor(schedule.left(at) / capacity));
    }
  }
  return static_cast<int>(std::clamp(fewest, 1.0, static_cast<double>(family.count_max)));
}

// The end with the least dollars per row for one more of the family, from `step` on and up to `latest`, or to the end
// of its minimum life.
Choice cheapest_end(const Schedule& schedule, int f, int step, int earliest, int latest) {
  const PlanningProblem& problem = schedule.problem();
  const Family& family = problem.families[index(f)];
  const Move one = move_of(f, 1);
  Choice best;
  const int first = schedule.reaches_from(f, step);
  for (int at = first; at < step; ++at) {
    if (!schedule.allows(one, at)) {
      return best;
    }
  }
  if (family.group < 0) {
    const int life_end = std::min(problem.steps, first + problem.min_life_steps);
    earliest = std::max(earliest, life_end);
    latest = std::max(latest, life_end);
  }
  double rows = 0;
  for (int end = step + 1; end <= latest && schedule.allows(one, end - 1); ++end) {
    rows += std::min(family.rows_per_s[index(end - 1)], schedule.left(end - 1)) * problem.step_s;
    const double usd_per_row = (family.start_usd + (end - first) * family.usd_per_step) / rows;
    if ((end >= earliest || end == latest) && usd_per_row < best.usd_per_row) {
      best = {.family = f, .first = first, .end = end, .count = 1, .usd_per_row = usd_per_row};
    }
  }
  return best;
}

// The family and end with the least dollars per row for the uncovered step. Running families come first, so that a tie
// keeps what is there.
Choice cheapest_per_row(const Schedule& schedule, int step, bool looks_ahead) {
  const PlanningProblem& problem = schedule.problem();
  const int run = end_of_run(schedule, step);
  Choice best;
  for (int f = 0; f < static_cast<int>(problem.families.size()); ++f) {
    const Family& family = problem.families[index(f)];
    if (step < family.first || family.rows_per_s[index(step)] <= 0) {
      continue;
    }
    const Choice choice = looks_ahead ? cheapest_end(schedule, f, step, step + 1, problem.steps)
                                      : cheapest_end(schedule, f, step, run, run);
    if (choice.usd_per_row < best.usd_per_row * (1 - 1e-12)) {
      best = choice;
    }
  }
  return best;
}

Schedule greedy(const PlanningProblem& problem, bool looks_ahead) {
  Schedule schedule(problem, Schedule::Running::kGoes);
  for (int step = 0; step < problem.steps; ++step) {
    while (!schedule.fulfilled(step)) {
      Choice choice = cheapest_per_row(schedule, step, looks_ahead);
      if (choice.family < 0) {
        break;
      }
      const Family& family = problem.families[index(choice.family)];
      choice.count = equal_choices(schedule, family, step, choice.end);
      if (looks_ahead) {
        // Many at once where many are needed: the choice would be much the same again.
        const double needed = schedule.left(step) / family.rows_per_s[index(step)];
        choice.count =
            std::max(choice.count, static_cast<int>(std::min(needed / 2, static_cast<double>(family.count_max))));
      }
      while (choice.count > 1 &&
             schedule.usd(move_of(choice.family, choice.count), choice.first, choice.end) == kInfeasible) {
        choice.count /= 2;
      }
      schedule.apply(move_of(choice.family, choice.count), choice.first, choice.end);
    }
  }
  return schedule;
}

// As many of them as there is room for at each step, and of those that only shrink no more than at the step before.
void add(Schedule& schedule, int f, int count, int first, int end) {
  const Family& family = schedule.problem().families[index(f)];
  for (int step = first; step < end; ++step) {
    int here = std::min(count, schedule.room(f, step));
    if (family.only_shrinks && step > family.first) {
      here = std::min(here, schedule.count(f, step - 1) - schedule.count(f, step));
    }
    if (here > 0) {
      schedule.apply(move_of(f, here), step, step + 1);
    }
  }
}

// How long a gap may be so that paying through it costs no more than another start.
int gap_max_of(const Family& family, int steps) {
  if (family.usd_per_step * steps <= family.start_usd) {
    return steps;
  }
  return static_cast<int>(family.start_usd / family.usd_per_step + 1e-9);
}

// Gaps of up to gap_max steps filled, level by level.
std::vector<int> bridged(const std::vector<int>& counts, int gap_max) {
  std::vector<int> filled = counts;
  const int steps = static_cast<int>(counts.size());
  std::vector<int> right(index(gap_max) + 1, 0);  // the most within so many steps to the right
  for (int step = 0; step < steps; ++step) {
    for (int distance = 1; distance <= gap_max; ++distance) {
      const int there = step + distance < steps ? counts[index(step + distance)] : 0;
      right[index(distance)] = std::max(right[index(distance - 1)], there);
    }
    for (int distance = 1; distance <= std::min(step, gap_max); ++distance) {
      const int level = std::min(counts[index(step - distance)], right[index(gap_max + 1 - distance)]);
      filled[index(step)] = std::max(filled[index(step)], level);
    }
  }
  return filled;
}

}  // namespace

Schedule greedy_in_order_of_time(const PlanningProblem& problem) { return greedy(problem, false); }

Schedule greedy_with_look_ahead(const PlanningProblem& problem) { return greedy(problem, true); }

Schedule single_family(const PlanningProblem& problem, int f) {
  const Family& family = problem.families[index(f)];
  Schedule schedule(problem, Schedule::Running::kGoes);
  // Until the family serves, what runs stays.
  for (int other = 0; other < static_cast<int>(problem.families.size()); ++other) {
    const Family& each = problem.families[index(other)];
    const int from = std::max(each.first, each.kept_through);
    if (each.group >= 0 && from < family.first) {
      schedule.apply(move_of(other, each.count_now), from, family.first);
    }
  }
  std::vector<int> counts(index(problem.steps), 0);
  for (int step = family.first; step < problem.steps; ++step) {
    const double capacity = family.rows_per_s[index(step)];
    const double load = std::max(0.0, schedule.left(step) - 1e-9 * problem.forecast_rows_per_s[index(step)]);
    const double needed = capacity > 0 ? std::ceil(load / capacity - 1e-9) : 0.0;
    counts[index(step)] = static_cast<int>(std::min(needed, static_cast<double>(family.count_max)));
  }
  counts = bridged(counts, gap_max_of(family, problem.steps));
  if (family.only_shrinks) {
    for (int step = problem.steps - 2; step >= family.first; --step) {
      counts[index(step)] = std::max(counts[index(step)], counts[index(step + 1)]);
    }
  }
  for (int step = family.first; step < problem.steps; ++step) {
    add(schedule, f, counts[index(step)], step, step + 1);
  }
  schedule.lengthen_lives();
  return schedule;
}

namespace {

// One kind of item of the covering knapsack.
struct Item {
  int family = 0;
  double rows_per_s = 0;
  double usd = 0;  // for the whole horizon
  int count_max = 0;
};

// Of equal ones the first family comes first: where a running and a new one cost the same, the running one.
bool cheaper_row(const Item& a, const Item& b) {
  const double a_usd = a.usd / a.rows_per_s;
  const double b_usd = b.usd / b.rows_per_s;
  return a_usd != b_usd ? a_usd < b_usd : a.family < b.family;
}

std::vector<Item> items_of(const PlanningProblem& problem) {
  std::vector<Item> items;
  for (int f = 0; f < static_cast<int>(problem.families.size()); ++f) {
    const Family& family = problem.families[index(f)];
    const double rows_per_s = family.rows_per_s.back();
    const int count = family.group >= 0 ? family.count_now : family.count_max;
    if (rows_per_s > 0 && count > 0) {
      items.push_back({f, rows_per_s, family.start_usd + (problem.steps - family.first) * family.usd_per_step, count});
    }
  }
  std::sort(items.begin(), items.end(), cheaper_row);
  return items;
}

constexpr int kUnits = 4096;  // of load, in the dynamic programme
constexpr double kRounding = 1e-9;
constexpr double kInstances = 48;  // of the largest kind, that it decides over: beyond that the cheapest row wins

struct Part {
  std::size_t item = 0;
  int count = 0;
};

// At least `load` from items, some of them used already. Prices are exact, capacities are rounded to units: down, so
// that it surely covers; or up, so that it is the optimum if it does.
std::vector<int> least_cover(const std::vector<Item>& items, const std::vector<int>& used, double load, bool up) {
  const auto units_of = [&](const Part& part) {
    const double units = part.count * items[part.item].rows_per_s * kUnits / load;
    return static_cast<int>(std::min(up ? std::ceil(units - kRounding) : std::floor(units + kRounding), 1.0 * kUnits));
  };
  std::vector<double> usd(kUnits + 1, std::numeric_limits<double>::infinity());
  usd[0] = 0;
  std::vector<Part> parts;
  std::vector<std::vector<bool>> taken;
  for (std::size_t item = 0; item < items.size(); ++item) {
    int left = std::min(items[item].count_max - used[item],
                        static_cast<int>(std::min(1e6, std::ceil(load / items[item].rows_per_s))));
    for (int size = 1; left > 0; size *= 2) {  // as a sum of powers of two, each taken or not
      const Part part{item, std::min(size, left)};
      left -= part.count;
      const int units = units_of(part);
      taken.emplace_back(kUnits + 1, false);
      for (int at = kUnits; at >= 1 && units > 0; --at) {
        const double with = usd[index(std::max(0, at - units))] + part.count * items[item].usd;
        if (with < usd[index(at)]) {
          usd[index(at)] = with;
          taken.back()[index(at)] = true;
        }
      }
      parts.push_back(part);
    }
  }
  std::vector<int> counts(items.size(), 0);
  int at = usd[kUnits] < std::numeric_limits<double>::infinity() ? kUnits : 0;
  for (std::size_t part = parts.size(); part-- > 0;) {
    if (at > 0 && taken[part][index(at)]) {
      counts[parts[part].item] += parts[part].count;
      at = std::max(0, at - units_of(parts[part]));
    }
  }
  return counts;
}

double rows_per_s_of(const std::vector<Item>& items, const std::vector<int>& counts) {
  double rows_per_s = 0;
  for (std::size_t item = 0; item < items.size(); ++item) {
    rows_per_s += counts[item] * items[item].rows_per_s;
  }
  return rows_per_s;
}

}  // namespace

Schedule flat_cover(const PlanningProblem& problem) {
  const std::vector<Item> items = items_of(problem);
  const auto& forecast = problem.forecast_rows_per_s;
  double load = *std::max_element(forecast.begin(), forecast.end());
  double largest = 0;
  for (const Item& item : items) {
    largest = std::max(largest, item.rows_per_s);
  }
  std::vector<int> counts(items.size(), 0);
  for (std::size_t item = 0; item < items.size() && load > kInstances * largest; ++item) {
    const double bulk = std::floor((load - kInstances * largest) / items[item].rows_per_s);
    counts[item] = static_cast<int>(std::min(bulk, static_cast<double>(items[item].count_max)));
    load -= counts[item] * items[item].rows_per_s;
  }
  if (load > 0 && !items.empty()) {
    std::vector<int> rest = least_cover(items, counts, load, true);
    if (rows_per_s_of(items, rest) < load * (1 - kRounding)) {
      rest = least_cover(items, counts, load, false);
    }
    std::transform(counts.begin(), counts.end(), rest.begin(), counts.begin(), std::plus<>());
  }
  Schedule schedule(problem, Schedule::Running::kGoes);
  for (std::size_t item = 0; item < items.size(); ++item) {
    const Family& family = problem.families[index(items[item].family)];
    const int from = std::max(family.first, family.kept_through);
    add(schedule, items[item].family, counts[item], from, problem.steps);
  }
  schedule.lengthen_lives();
  return schedule;
}

namespace {

// The cheapest covers of all loads up to one at once: best[u] is over best[u - units of an item] and that item.
class SteadyCover {
 public:
  SteadyCover(const PlanningProblem& problem, double load_max) : problem_(problem) {
    for (int f = 0; f < static_cast<int>(problem.families.size()); ++f) {
      const Family& family = problem.families[index(f)];
      if (family.group < 0 && family.rows_per_s.back() > 0) {
        items_.push_back({f, family.rows_per_s.back(), family.usd_per_step, family.count_max});
        largest_ = std::max(largest_, family.rows_per_s.back());
      }
    }
    std::sort(items_.begin(), items_.end(), cheaper_row);
    unit_ = std::min(load_max, kInstances * largest_) / kUnits;
    chosen_.assign(kUnits + 1, 0);
    std::vector<double> usd(kUnits + 1, std::numeric_limits<double>::infinity());
    usd[0] = 0;
    for (int at = 1; at <= kUnits && unit_ > 0; ++at) {
      for (std::size_t item = 0; item < items_.size(); ++item) {
        const double with = usd[index(std::max(0, at - units(item)))] + items_[item].usd;
        if (units(item) > 0 && with < usd[index(at)]) {
          usd[index(at)] = with;
          chosen_[index(at)] = item;
        }
      }
    }
  }

  // Instances by family; no more than there may be of each.
  std::vector<int> cover(double load) const {
    std::vector<int> counts(problem_.families.size(), 0);
    if (items_.empty() || load <= 0 || unit_ <= 0) {
      return counts;
    }
    const Item& cheapest = items_.front();
    const double rest = std::min(load, kUnits * unit_);
    const double bulk = std::ceil((load - rest) / cheapest.rows_per_s - 1e-9);
    counts[index(cheapest.family)] = static_cast<int>(std::clamp(bulk, 0.0, static_cast<double>(cheapest.count_max)));
    const double left = load - counts[index(cheapest.family)] * cheapest.rows_per_s;
    int at = std::clamp(static_cast<int>(std::ceil(left / unit_ - 1e-9)), 0, kUnits);
    while (at > 0) {
      const std::size_t item = chosen_[index(at)];
      ++counts[index(items_[item].family)];
      at -= std::max(1, units(item));
    }
    for (const Item& item : items_) {
      counts[index(item.family)] = std::min(counts[index(item.family)], item.count_max);
    }
    return counts;
  }

 private:
  int units(std::size_t item) const { return static_cast<int>(std::floor(items_[item].rows_per_s / unit_ + 1e-9)); }

  const PlanningProblem& problem_;
  std::vector<Item> items_;
  double largest_ = 0;
  double unit_ = 0;
  std::vector<std::size_t> chosen_;
};

}  // namespace

Schedule cover_of_each_step(const PlanningProblem& problem) {
  Schedule schedule(problem, Schedule::Running::kStays);
  const auto& forecast = problem.forecast_rows_per_s;
  const SteadyCover steady(problem, *std::max_element(forecast.begin(), forecast.end()));
  for (int step = 0; step < problem.steps; ++step) {
    const std::vector<int> counts = steady.cover(forecast[index(step)]);
    for (int f = 0; f < static_cast<int>(counts.size()); ++f) {
      add(schedule, f, counts[index(f)], step, step + 1);
    }
  }
  schedule.lengthen_lives();
  return schedule;
}

}  // namespace mark
