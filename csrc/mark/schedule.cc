#include "mark/schedule.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace mark {
namespace {

// Of the highest rate: sums of a thousand capacities round a thousand times, and what is left of a load that they cover
// exactly must not buy one more.
constexpr double kNegligibleShare = 1e-9;

// An uncovered step that must be covered costs more than any schedule.
constexpr double kUncoveredUsd = 1e9;

std::size_t index(int value) { return static_cast<std::size_t>(value); }

int change_of(const Move& move, int family) {
  int change = 0;
  for (int i = 0; i < move.size; ++i) {
    change += move.parts[index(i)].family == family ? move.parts[index(i)].change : 0;
  }
  return change;
}

// Of those that are there at a step, how many started less than a minimum life ago.
template <class Count>
int started_lately(const PlanningProblem& problem, const Family& family, int step, Count count) {
  int started = 0;
  for (int at = std::max(family.first, step - problem.min_life_steps + 1); at <= step; ++at) {
    started += std::max(0, count(at) - (at > family.first ? count(at - 1) : 0));
  }
  return started;
}

}  // namespace

Move move_of(int family, int change) { return {.parts = {{{family, change}}}, .size = 1}; }

Move move_of(int family, int change, int other, int other_change) {
  return {.parts = {{{family, change}, {other, other_change}}}, .size = 2};
}

Move move_of(int family, int change, int other, int other_change, int third, int third_change) {
  return {.parts = {{{family, change}, {other, other_change}, {third, third_change}}}, .size = 3};
}

Move times(Move move, int factor) {
  for (Move::Part& part : move.parts) {
    part.change *= factor;
  }
  return move;
}

bool ScheduleCost::better_than(const ScheduleCost& other) const {
  const double rows = 1e-6 * std::max({1.0, missed_rows, other.missed_rows});
  if (std::abs(missed_rows - other.missed_rows) > rows) {
    return missed_rows < other.missed_rows;
  }
  return usd < other.usd;
}

Schedule::Schedule(const PlanningProblem& problem, Running running)
    : problem_(&problem),
      counts_(problem.families.size() * index(problem.steps), 0),
      served_(index(problem.steps), 0.0),
      overflow_(index(problem.steps), 0.0),
      pool_served_(problem.pools.size(), std::vector<double>(index(problem.steps), 0.0)),
      spare_(index(problem.steps), 0.0),
      family_spare_(problem.families.size(), 0.0),
      waiting_(index(problem.steps), 0.0) {
  negligible_rows_per_s_ =
      kNegligibleShare * *std::max_element(problem.forecast_rows_per_s.begin(), problem.forecast_rows_per_s.end());
  for (int step = 0; step < problem.steps; ++step) {
    overflow_[index(step)] = overflow_usd(step, 0);
  }
  for (int f = 0; f < static_cast<int>(problem.families.size()); ++f) {
    if (running != Running::kNone && family(f).group >= 0 && family(f).count_now > 0) {
      const int end = running == Running::kStays ? problem.steps : family(f).kept_through;
      apply(move_of(f, family(f).count_now), family(f).first, std::max(family(f).first, end));
    }
  }
}

bool Schedule::any(int family) const {
  const auto begin = counts_.begin() + static_cast<std::ptrdiff_t>(at(family, 0));
  return std::any_of(begin, begin + problem_->steps, [](int count) { return count > 0; });
}

double Schedule::left(int step) const {
  return std::max(0.0, problem_->forecast_rows_per_s[index(step)] - served(step));
}

ScheduleCost Schedule::cost() const {
  ScheduleCost cost;
  for (int f = 0; f < static_cast<int>(problem_->families.size()); ++f) {
    int before = family(f).group >= 0 ? family(f).count_now : 0;
    for (int step = family(f).first; step < problem_->steps; ++step) {
      const int count = counts_[at(f, step)];
      cost.usd += count * family(f).usd_per_step + std::max(0, count - before) * family(f).start_usd;
      before = count;
    }
  }
  for (int step = 0; step < problem_->steps; ++step) {
    const double serverless = std::min(left(step), problem_->serverless_rows_per_s_max);
    const double missed = left(step) - serverless;
    cost.usd += serverless * problem_->step_s * problem_->serverless_usd_per_row;
    if (missed > negligible_rows_per_s_) {
      cost.missed_rows += problem_->must_cover ? missed * problem_->step_s : 0.0;
      cost.usd += problem_->must_cover ? 0.0 : missed * problem_->step_s * problem_->miss_usd_per_row;
    }
  }
  return cost;
}

double Schedule::overflow_usd(int step, double served) const {
  const double left = problem_->forecast_rows_per_s[index(step)] - served;
  if (left <= negligible_rows_per_s_) {
    return 0;
  }
  const double serverless = std::min(left, problem_->serverless_rows_per_s_max);
  const double missed = left - serverless;
  const double usd = serverless * problem_->step_s * problem_->serverless_usd_per_row;
  if (missed <= negligible_rows_per_s_) {
    return usd;
  }
  return usd + missed * problem_->step_s * problem_->miss_usd_per_row + (problem_->must_cover ? kUncoveredUsd : 0.0);
}

bool Schedule::could_add(int step) const {
  for (int f = 0; f < static_cast<int>(problem_->families.size()); ++f) {
    if (family(f).rows_per_s[index(step)] > 0 && allows(move_of(f, 1), step)) {
      return true;
    }
  }
  return false;
}

void Schedule::look_at_spare() const {
  spare_is_known_ = true;
  overflows_ = false;
  for (int step = 0; step < problem_->steps; ++step) {
    spare_[index(step)] = served(step) - problem_->forecast_rows_per_s[index(step)];
    overflows_ = overflows_ || (-spare_[index(step)] > negligible_rows_per_s_ && could_add(step));
  }
  for (int f = 0; f < static_cast<int>(problem_->families.size()); ++f) {
    double most = -kInfeasible;
    for (int step = family(f).first; step < problem_->steps; ++step) {
      if (counts_[at(f, step)] > 0) {
        most = std::max(most, spare_[index(step)]);
      }
    }
    family_spare_[index(f)] = most;
  }
}

bool Schedule::covers_all() const {
  if (!problem_->must_cover || problem_->serverless_rows_per_s_max > 0) {
    return false;
  }
  if (!spare_is_known_) {
    look_at_spare();
  }
  return !overflows_;
}

// Where everything is covered, a move may take away no more than what is spare where the families it takes from are.
// And what it does not save by the step, it would have to save by starts. Capacities only fall: burstables spend their
// credits.
bool Schedule::may_save(const Move& move) const {
  if (!covers_all()) {
    return true;
  }
  double start_usd = 0;
  double rows_per_s = 0;
  double spare = kInfeasible;
  for (int i = 0; i < move.size; ++i) {
    const Move::Part& part = move.parts[index(i)];
    const Family& each = family(part.family);
    // Of a family that is nowhere, each that comes pays its start.
    const bool pays = part.change > 0 && family_spare_[index(part.family)] == -kInfeasible;
    start_usd += (pays ? -part.change : std::abs(part.change)) * each.start_usd;
    rows_per_s += part.change * (part.change > 0 ? each.rows_per_s[index(each.first)] : each.rows_per_s.back());
    if (part.change < 0) {
      spare = std::min(spare, family_spare_[index(part.family)]);
    }
  }
  return usd_per_step(move) < start_usd && -rows_per_s <= spare + negligible_rows_per_s_;
}

double Schedule::usd_per_step(const Move& move) const {
  double usd = 0;
  for (int i = 0; i < move.size; ++i) {
    usd += move.parts[index(i)].change * family(move.parts[index(i)].family).usd_per_step;
  }
  return usd;
}

bool Schedule::in_bounds(const Move& move, const Move::Part& part, int step) const {
  const Family& each = family(part.family);
  const int count = counts_[at(part.family, step)] + part.change;
  if (count < 0 || count > each.count_max || step < each.first || (part.change < 0 && step < each.kept_through)) {
    return false;
  }
  if (part.change > 0 && each.twin >= 0 &&
      count + counts_[at(each.twin, step)] + change_of(move, each.twin) > each.count_max) {
    return false;
  }
  if (part.change < 0 || each.pool < 0) {
    return true;
  }
  double served = pool_served_[index(each.pool)][index(step)];
  for (int i = 0; i < move.size; ++i) {
    const Family& other = family(move.parts[index(i)].family);
    served += other.pool == each.pool ? move.parts[index(i)].change * other.rows_per_s[index(step)] : 0.0;
  }
  return each.rows_per_s[index(step)] <= 0 ||
         served <= problem_->pools[index(each.pool)].rows_per_s[index(step)] * (1 + kNegligibleShare);
}

int Schedule::room(int f, int step) const {
  const Family& each = family(f);
  const int twins = each.twin >= 0 ? counts_[at(each.twin, step)] : 0;
  double room = step < each.first ? 0 : each.count_max - counts_[at(f, step)] - twins;
  if (each.pool >= 0 && each.rows_per_s[index(step)] > 0) {
    const double limit = problem_->pools[index(each.pool)].rows_per_s[index(step)] * (1 + kNegligibleShare);
    room = std::min(room,
                    std::floor((limit - pool_served_[index(each.pool)][index(step)]) / each.rows_per_s[index(step)]));
  }
  return static_cast<int>(std::max(0.0, room));
}

// What the move changes at one step, but for starts; kInfeasible where it breaks a bound there.
double Schedule::step_usd(const Move& move, int step) const {
  double usd = 0;
  double served = served_[index(step)];
  for (int i = 0; i < move.size; ++i) {
    const Move::Part& part = move.parts[index(i)];
    const Family& each = family(part.family);
    if (!in_bounds(move, part, step)) {
      return kInfeasible;
    }
    usd += part.change * each.usd_per_step;
    served += part.change * each.rows_per_s[index(step)];
  }
  return usd + overflow_usd(step, served) - overflow_[index(step)];
}

double Schedule::Walker::begin_usd(int step) const {
  const bool at_first = step == family->first;
  if (family->only_shrinks) {
    const int before = at_first ? family->count_max : counts[step - 1];
    if (counts[step] + change > before) {
      return kInfeasible;
    }
    return at_first ? change * family->start_usd : 0.0;
  }
  const int grown = counts[step] - (at_first ? 0 : counts[step - 1]);
  return family->start_usd * (std::max(0, grown + change) - std::max(0, grown));
}

double Schedule::Walker::end_usd(int step) const {
  const int grown = counts[step] - counts[step - 1];
  if (family->only_shrinks) {
    return grown > change ? kInfeasible : 0.0;
  }
  return family->start_usd * (std::max(0, grown - change) - std::max(0, grown));
}

std::array<Schedule::Walker, 3> Schedule::walkers(const Move& move) const {
  std::array<Walker, 3> walkers;
  for (int i = 0; i < move.size; ++i) {
    const Move::Part& part = move.parts[index(i)];
    const Family& each = family(part.family);
    walkers[index(i)] = {&counts_[at(part.family, 0)], each.rows_per_s.data(), &each, part.change};
    if (each.twin >= 0) {
      walkers[index(i)].twin_counts = &counts_[at(each.twin, 0)];
      walkers[index(i)].twin_change = change_of(move, each.twin);
    }
  }
  return walkers;
}

int Schedule::least_length(const Move& move) const {
  for (int i = 0; i < move.size; ++i) {
    if (move.parts[index(i)].change > 0 && family(move.parts[index(i)].family).group < 0) {
      return problem_->min_life_steps;
    }
  }
  return 1;
}

// The least of  begin(a) + sum of step costs over [a, b) + end(b)  over all a < b: the sum is a difference of prefix
// sums, so for each b only the least  begin(a) - prefix(a)  so far is needed.
template <class StepUsd>
Stretch Schedule::scan(const Move& move, StepUsd step_usd) const {
  const std::array<Walker, 3> parts = walkers(move);
  int from = 0;
  for (int i = 0; i < move.size; ++i) {
    from = std::max(from, parts[index(i)].family->first);
  }
  Stretch best;
  double prefix = 0;
  double opening = kInfeasible;
  int opened = from;
  int run = from;  // begin of the run of feasible steps
  const int wait = least_length(move) - 1;
  for (int step = from; step < problem_->steps; ++step) {
    const double usd = step_usd(parts, step);
    if (usd == kInfeasible) {
      opening = kInfeasible;
      run = step + 1;
      continue;
    }
    double begin_usd = -prefix;
    for (int i = 0; i < move.size; ++i) {
      begin_usd += parts[index(i)].begin_usd(step);
    }
    waiting_[index(step)] = begin_usd;
    prefix += usd;
    const int begin = step - wait;
    if (begin >= run && waiting_[index(begin)] < opening) {
      opening = waiting_[index(begin)];
      opened = begin;
    }
    if (opening == kInfeasible) {
      continue;
    }
    double total = opening + prefix;
    for (int i = 0; i < move.size && step + 1 < problem_->steps; ++i) {
      total += parts[index(i)].end_usd(step + 1);
    }
    if (total < best.usd) {
      best = {.first = opened, .end = step + 1, .usd = total};
    }
  }
  return best;
}

Stretch Schedule::cheapest(const Move& move) const {
  Stretch best;
  if (covers_all() && problem_->pools.empty()) {
    const double usd = usd_per_step(move);
    best = scan(move, [&](const std::array<Walker, 3>& parts, int step) {
      double rows_per_s = 0;
      for (int i = 0; i < move.size; ++i) {
        const Walker& part = parts[index(i)];
        if (!part.in_bounds(step)) {
          return kInfeasible;
        }
        rows_per_s += part.change * part.rows_per_s[step];
      }
      return rows_per_s < 0 && spare_[index(step)] + rows_per_s < -negligible_rows_per_s_ ? kInfeasible : usd;
    });
  } else {
    best = scan(move, [&](const std::array<Walker, 3>&, int step) { return step_usd(move, step); });
  }
  if (best.usd < 0 && problem_->min_life_steps > 1 && !keeps_min_life(move, best.first, best.end)) {
    return {};
  }
  return best;
}

double Schedule::usd(const Move& move, int first, int end) const {
  const std::array<Walker, 3> parts = walkers(move);
  double usd = 0;
  for (int i = 0; i < move.size; ++i) {
    const Walker& part = parts[index(i)];
    if (first < part.family->first) {
      return kInfeasible;
    }
    usd += part.begin_usd(first) + (end < problem_->steps ? part.end_usd(end) : 0.0);
  }
  for (int step = first; step < end && usd != kInfeasible; ++step) {
    usd += step_usd(move, step);
  }
  if (usd != kInfeasible && problem_->min_life_steps > 1 && !keeps_min_life(move, first, end)) {
    return kInfeasible;
  }
  return usd;
}

// Whether what starts still lives for min_life_steps, as far as the horizon goes: as many as started lately are there.
bool Schedule::keeps_min_life(const Move& move, int first, int end) const {
  for (int i = 0; i < move.size; ++i) {
    const Move::Part& part = move.parts[index(i)];
    const Family& each = family(part.family);
    if (each.group >= 0) {
      continue;
    }
    const auto count = [&](int step) {
      return counts_[at(part.family, step)] + (step >= first && step < end ? part.change : 0);
    };
    for (int step = each.first; step < problem_->steps; ++step) {
      if (started_lately(*problem_, each, step, count) > count(step)) {
        return false;
      }
    }
  }
  return true;
}

bool Schedule::keeps_min_life() const {
  if (problem_->min_life_steps <= 1) {
    return true;
  }
  for (int f = 0; f < static_cast<int>(problem_->families.size()); ++f) {
    if (!keeps_min_life(move_of(f, 0), 0, problem_->steps)) {
      return false;
    }
  }
  return true;
}

void Schedule::lengthen_lives() {
  for (int f = 0; f < static_cast<int>(problem_->families.size()) && problem_->min_life_steps > 1; ++f) {
    const auto count = [&](int step) { return counts_[at(f, step)]; };
    for (int step = family(f).first; step < problem_->steps && family(f).group < 0; ++step) {
      const int lacking = started_lately(*problem_, family(f), step, count) - count(step);
      const int more = std::min(lacking, room(f, step));
      if (more > 0) {
        apply(move_of(f, more), step, step + 1);
      }
    }
  }
}

void Schedule::apply(const Move& move, int first, int end) {
  for (int i = 0; i < move.size; ++i) {
    const Move::Part& part = move.parts[index(i)];
    const Family& each = family(part.family);
    for (int step = first; step < end; ++step) {
      counts_[at(part.family, step)] += part.change;
      const double change = part.change * each.rows_per_s[index(step)];
      served_[index(step)] += change;
      if (each.pool >= 0) {
        pool_served_[index(each.pool)][index(step)] += change;
      }
    }
  }
  for (int step = first; step < end; ++step) {
    overflow_[index(step)] = overflow_usd(step, served_[index(step)]);
  }
  spare_is_known_ = false;
}

double Schedule::column_usd(int step) const {
  double usd = overflow_[index(step)];
  for (int f = 0; f < static_cast<int>(problem_->families.size()); ++f) {
    usd += count(f, step) * family(f).usd_per_step;
  }
  return usd;
}

double Schedule::transition_usd(const Schedule* before, int step) const {
  double usd = 0;
  for (int f = 0; f < static_cast<int>(problem_->families.size()); ++f) {
    const Family& each = family(f);
    const bool begins = step == each.first || before == nullptr;
    const int none = each.only_shrinks && each.group >= 0 ? each.count_now : 0;
    const int grown = count(f, step) - (begins ? none : before->count(f, step - 1));
    if (grown > 0) {
      usd += each.only_shrinks && !begins ? kInfeasible : grown * each.start_usd;
    }
  }
  return usd;
}

void Schedule::take_column(const Schedule& from, int step) {
  for (int f = 0; f < static_cast<int>(problem_->families.size()); ++f) {
    counts_[at(f, step)] = from.count(f, step);
  }
  served_[index(step)] = from.served_[index(step)];
  overflow_[index(step)] = from.overflow_[index(step)];
  for (std::size_t pool = 0; pool < pool_served_.size(); ++pool) {
    pool_served_[pool][index(step)] = from.pool_served_[pool][index(step)];
  }
  spare_is_known_ = false;
}

int Schedule::reaches_from(int family, int step) const {
  const Family& each = this->family(family);
  if (!each.only_shrinks) {
    return step;
  }
  const int count = counts_[at(family, step)];
  while (step > each.first && counts_[at(family, step - 1)] == count) {
    --step;
  }
  return step;
}

}  // namespace mark
