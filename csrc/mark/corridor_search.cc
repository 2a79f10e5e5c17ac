#include "mark/corridor_search.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

#include "mark/local_search.h"

namespace mark {
namespace {

// Changes of states that take about as long as a look at a step of a schedule.
constexpr std::int64_t kChangesPerLook = 8;
// Improvements below this share of what a schedule costs are not worth another corridor.
constexpr double kNegligibleShare = 1e-6;

constexpr std::size_t index(int value) { return static_cast<std::size_t>(value); }

// A family, and how far apart two states are that differ by one instance of it.
struct Axis {
  int family = 0;
  int stride = 1;
};

// Up to kReach instances more or fewer of each family. A state is a place on each axis; place kReach is no change.
template <int kReach>
class Corridor {
 public:
  Corridor(Schedule& schedule, const std::vector<int>& families) : schedule_(schedule), problem_(schedule.problem()) {
    for (const int f : families) {
      axes_.push_back({f, states_});
      states_ *= kWidth;
    }
    usd_.assign(index(states_), 0.0);
    came_from_.resize(index(problem_.steps) * axes_.size() * index(states_));
  }

  std::int64_t looks() const {
    return static_cast<std::int64_t>(axes_.size() + 1) * states_ * problem_.steps / kChangesPerLook;
  }

  bool run() {
    begin();
    add_step_usd(0);
    for (int step = 1; step < problem_.steps; ++step) {
      for (std::size_t axis = 0; axis < axes_.size(); ++axis) {
        advance(axis, step);
      }
      add_step_usd(step);
    }
    return take_best();
  }

 private:
  static constexpr int kWidth = 2 * kReach + 1;

  const Family& family(const Axis& axis) const { return problem_.families[index(axis.family)]; }
  static int change(const Axis& axis, int state) { return state / axis.stride % kWidth - kReach; }

  bool in_bounds(const Axis& axis, int step, int count) const {
    const Family& each = family(axis);
    const bool kept = each.group >= 0 && step >= each.first && step < each.kept_through;
    return count >= (kept ? each.count_now : 0) && count <= (step < each.first ? 0 : each.count_max);
  }

  void begin() {
    for (const Axis& axis : axes_) {
      for (int state = 0; state < states_; ++state) {
        const int count = schedule_.count(axis.family, 0) + change(axis, state);
        usd_[index(state)] += family(axis).group >= 0 ? 0.0 : std::max(0, count) * family(axis).start_usd;
      }
    }
  }

  void add_step_usd(int step) {
    served_.assign(1, schedule_.served(step));
    step_usd_.assign(1, 0.0);
    for (const Axis& axis : axes_) {
      const Family& each = family(axis);
      const std::size_t inner = served_.size();
      served_.resize(inner * kWidth);
      step_usd_.resize(inner * kWidth);
      for (int place = kWidth - 1; place >= 0; --place) {  // the first is read for all others, so it is written last
        const int more = place - kReach;
        const bool bounded = in_bounds(axis, step, schedule_.count(axis.family, step) + more);
        const double usd = bounded ? more * each.usd_per_step : kInfeasible;
        for (std::size_t at = 0; at < inner; ++at) {
          served_[index(place) * inner + at] = served_[at] + more * each.rows_per_s[index(step)];
          step_usd_[index(place) * inner + at] = step_usd_[at] + usd;
        }
      }
    }
    for (std::size_t state = 0; state < usd_.size(); ++state) {
      usd_[state] += step_usd_[state];
      if (usd_[state] != kInfeasible) {
        usd_[state] += schedule_.overflow_usd(step, served_[state]);
      }
    }
  }

  // From the places of one family at the step before to those at this one: starts are paid for by each family alone, so
  // one is advanced after the other.
  void advance(std::size_t at, int step) {
    const Axis& axis = axes_[at];
    const Family& each = family(axis);
    const int grown = schedule_.count(axis.family, step) - schedule_.count(axis.family, step - 1);
    const double start_usd = each.only_shrinks && step != each.first ? kInfeasible : each.start_usd;
    std::uint8_t* const came_from = came_from_at(at, step);
    for (int outer = 0; outer < states_; outer += axis.stride * kWidth) {
      for (int line = outer; line < outer + axis.stride; ++line) {
        advance_line(axis.stride, grown, start_usd, &usd_[index(line)], came_from + line);
      }
    }
  }

  // Two running minima do, as a start has the same price whatever the count: over the places from which the family does
  // not grow, and over those from which it does.
  static void advance_line(int stride, int grown, double start_usd, double* usd, std::uint8_t* came_from) {
    struct Least {
      double usd = kInfeasible;
      int from = 0;
    };
    std::array<Least, index(kWidth) + 1> stays;  // from this place or a later one
    std::array<Least, index(kWidth) + 1> grows;  // from an earlier one, less the starts up to that
    for (int place = kWidth - 1; place >= 0; --place) {
      const double here = usd[index(place * stride)];
      stays[index(place)] = here <= stays[index(place + 1)].usd ? Least{here, place} : stays[index(place + 1)];
    }
    for (int place = 0; place < kWidth && start_usd != kInfeasible; ++place) {
      const double here = usd[index(place * stride)] - place * start_usd;
      grows[index(place + 1)] = here < grows[index(place)].usd ? Least{here, place} : grows[index(place)];
    }
    for (int place = 0; place < kWidth; ++place) {
      const int same = place + grown;  // the place before of an equal count
      const Least& stayed = stays[index(std::clamp(same, 0, kWidth))];
      const Least& grew = grows[index(std::clamp(same, 0, kWidth))];
      const double grew_usd = grew.usd == kInfeasible ? kInfeasible : grew.usd + same * start_usd;
      usd[index(place * stride)] = std::min(stayed.usd, grew_usd);
      came_from[index(place * stride)] = static_cast<std::uint8_t>(stayed.usd <= grew_usd ? stayed.from : grew.from);
    }
  }

  bool take_best() {
    auto state = static_cast<int>(std::min_element(usd_.begin(), usd_.end()) - usd_.begin());
    Schedule best = schedule_;
    for (int step = problem_.steps - 1; step >= 0; --step) {
      for (const Axis& axis : axes_) {
        if (change(axis, state) != 0) {
          best.apply(move_of(axis.family, change(axis, state)), step, step + 1);
        }
      }
      for (std::size_t at = axes_.size(); step > 0 && at-- > 0;) {
        const int from = came_from_at(at, step)[state];
        state += (from - kReach - change(axes_[at], state)) * axes_[at].stride;
      }
    }
    // A state knows the price of what is missed, not that less of it comes first.
    ScheduleCost least = schedule_.cost();
    least.usd *= 1 - kNegligibleShare;
    if (!best.cost().better_than(least)) {
      return false;
    }
    schedule_ = std::move(best);
    return true;
  }

  std::uint8_t* came_from_at(std::size_t axis, int step) {
    return &came_from_[(index(step) * axes_.size() + axis) * index(states_)];
  }

  Schedule& schedule_;
  const PlanningProblem& problem_;
  std::vector<Axis> axes_;
  int states_ = 1;
  std::vector<double> usd_;  // of the cheapest way to each state of a step
  std::vector<double> served_;
  std::vector<double> step_usd_;
  std::vector<std::uint8_t> came_from_;  // by step, axis and state: the place on the axis at the step before
};

template <int kReach>
bool search(Schedule& schedule, const std::vector<int>& families, std::int64_t& looks) {
  Corridor<kReach> corridor(schedule, families);
  looks -= corridor.looks();
  return corridor.run();
}

}  // namespace

std::vector<int> corridor_families(const PlanningProblem& problem) {
  if (problem.min_life_steps > 1 || !problem.pools.empty()) {
    return {};
  }
  std::vector<int> families = useful_families(problem);
  std::erase_if(families, [&](int f) { return problem.families[index(f)].twin >= 0; });
  return families;
}

bool search_corridor(Schedule& schedule, const std::vector<int>& families, std::int64_t& looks) {
  // About as many states either way: 11 squared or 5 cubed.
  if (families.size() <= 2) {
    return search<5>(schedule, families, looks);
  }
  return search<2>(schedule, families, looks);
}

}  // namespace mark
