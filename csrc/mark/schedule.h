// How many instances of each family there are at each step, what that costs, and what a change of it would.
#pragma once

#include <array>
#include <limits>
#include <vector>

#include "mark/planning_problem.h"

namespace mark {

inline constexpr double kInfeasible = std::numeric_limits<double>::infinity();

// So many instances more or fewer of up to three families, over the same steps.
struct Move {
  struct Part {
    int family = 0;
    int change = 0;
  };

  std::array<Part, 3> parts{};
  int size = 0;
};

// The steps [first, end) and what the move costs there; kInfeasible when it cannot be made.
struct Stretch {
  int first = 0;
  int end = 0;
  double usd = kInfeasible;
};

// What a schedule costs; what misses less comes first.
struct ScheduleCost {
  double missed_rows = 0;
  double usd = 0;  // without the price of what must be covered and is not

  bool better_than(const ScheduleCost& other) const;
};

// A point of a PlanningProblem's space; the problem must outlive it.
//
// Invariants
//   - counts keep to the families' bounds: none before `first`, at most count_max (with the twin's), never growing
//   where
//     only_shrinks;
//   - served_ and pool_served_ are the sums over the counts, and overflow_ is what the rest costs.
class Schedule {
 public:
  // Nothing is launched; what runs stays to the end, goes as early as it may, or was never there (which no plan may be,
  // but something to build one from).
  enum class Running { kStays, kGoes, kNone };
  Schedule(const PlanningProblem& problem, Running running);

  const PlanningProblem& problem() const { return *problem_; }
  int count(int family, int step) const { return counts_[at(family, step)]; }
  bool any(int family) const;
  double served(int step) const { return served_[static_cast<std::size_t>(step)]; }
  // Of the load, what the families leave; at least 0.
  double left(int step) const;
  // Whether they leave nothing that counts.
  bool fulfilled(int step) const { return left(step) <= negligible_rows_per_s_; }
  ScheduleCost cost() const;
  // What the load of a step costs that is left where so much is served.
  double overflow_usd(int step, double served) const;

  // A bound that looks at no step: where it is false, no stretch of the move saves anything.
  bool may_save(const Move& move) const;

  // The steps over which the move costs least, alone or merged with what is there. Stretches that would leave load
  // which is covered count as none, and none is found where a minimum life forbids the best. O(steps).
  Stretch cheapest(const Move& move) const;
  // What the move costs over these steps; kInfeasible when it breaks a bound. O(steps).
  double usd(const Move& move, int first, int end) const;
  void apply(const Move& move, int first, int end);
  // Whether the move breaks no bound at this step, whatever is there before and after.
  bool allows(const Move& move, int step) const { return step_usd(move, step) != kInfeasible; }
  // How many more of a family are allowed at a step.
  int room(int family, int step) const;

  // What the counts of one step cost there, and what they cost to begin when the step before had those of `before`;
  // null before the first step. kInfeasible where a family would grow that may not.
  double column_usd(int step) const;
  double transition_usd(const Schedule* before, int step) const;
  // Takes the counts of one step from another schedule of the same problem.
  void take_column(const Schedule& from, int step);
  bool keeps_min_life() const;
  // Keeps what is launched for its minimum life, as far as there is room.
  void lengthen_lives();

  // The first step from which one more of a family must be there so that it is at `step`: earlier than `step` where the
  // family only shrinks.
  int reaches_from(int family, int step) const;

 private:
  // A part of a move with what a walk over the steps needs of its family.
  struct Walker {
    const int* counts = nullptr;  // by step
    const double* rows_per_s = nullptr;
    const Family* family = nullptr;
    int change = 0;
    const int* twin_counts = nullptr;
    int twin_change = 0;

    double begin_usd(int step) const;  // what it costs, in starts, that the change begins at this step
    double end_usd(int step) const;    // or ends before it
    bool in_bounds(int step) const {
      const int count = counts[step] + change;
      const int twins = twin_counts == nullptr || change < 0 ? 0 : twin_counts[step] + twin_change;
      return count >= 0 && count + twins <= family->count_max && (change > 0 || step >= family->kept_through);
    }
  };

  std::size_t at(int family, int step) const {
    return static_cast<std::size_t>(family) * static_cast<std::size_t>(problem_->steps) +
           static_cast<std::size_t>(step);
  }
  const Family& family(int index) const { return problem_->families[static_cast<std::size_t>(index)]; }
  double step_usd(const Move& move, int step) const;
  bool in_bounds(const Move& move, const Move::Part& part, int step) const;
  std::array<Walker, 3> walkers(const Move& move) const;
  template <class StepUsd>
  Stretch scan(const Move& move, StepUsd step_usd) const;
  double usd_per_step(const Move& move) const;
  bool keeps_min_life(const Move& move, int first, int end) const;
  int least_length(const Move& move) const;
  // Whether everything that can be covered is, and must stay so: then nothing but instances costs anything.
  bool covers_all() const;
  bool could_add(int step) const;
  void look_at_spare() const;

  const PlanningProblem* problem_;
  std::vector<int> counts_;
  std::vector<double> served_;
  std::vector<double> overflow_;                  // dollars, by step
  std::vector<std::vector<double>> pool_served_;  // by pool and step
  double negligible_rows_per_s_ = 0;
  // Derived from the rest when it is first asked for after a change.
  mutable bool spare_is_known_ = false;
  mutable bool overflows_ = true;             // whether load is left that some family could serve
  mutable std::vector<double> spare_;         // rows per second served in vain, by step; negative where some lack
  mutable std::vector<double> family_spare_;  // the most at the steps where the family is present, by family
  mutable std::vector<double> waiting_;       // of a scan, by step
};

// A move of equal changes, for short.
Move move_of(int family, int change);
Move move_of(int family, int change, int other, int other_change);
Move move_of(int family, int change, int other, int other_change, int third, int third_change);
Move times(Move move, int factor);

}  // namespace mark
