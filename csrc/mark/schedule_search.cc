#include "mark/schedule_search.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <utility>

#include "mark/corridor_search.h"
#include "mark/exact_schedule.h"
#include "mark/local_search.h"
#include "mark/schedule_combination.h"
#include "mark/starting_schedules.h"

namespace mark {
namespace {

// Looks at steps that a search may take: in proportion to the time until the next plan, and to the share of this one
// that is carried out before it. About a quarter of a millisecond for sixty steps of a minute.
constexpr double kLooks = 90'000;  // times step_s, over steps
constexpr double kLooksMin = 30'000;
constexpr double kLooksMax = 1'500'000;
// Looking ahead pays where an instance is a large part of the fleet: up to so many of the largest kind.
constexpr double kSmallFleet = 8;
constexpr std::int64_t kLastShare = 8;  // an eighth is kept for the last improvement
constexpr int kShakesInVainMax = 64;
constexpr int kShakenMax = 3;  // instances more at once
// Looks by the step from which on corridors are searched: each takes up to a hundred, and it takes hundreds of them.
constexpr std::int64_t kCorridorLooksMin = 10'000;
constexpr int kCorridorsInVainMax = 10;
constexpr int kBestCorridorsInVainMax = 50;  // around the best schedule
constexpr std::size_t kEliteMax = 8;
constexpr double kFlatShare = 0.8;  // a forecast whose least is this share of its most is nearly flat

bool cheaper(const Schedule& a, const Schedule& b) { return a.cost().better_than(b.cost()); }

// A pseudo-random sequence that is the same everywhere (Knuth's MMIX constants).
class Sequence {
 public:
  int below(int bound) {
    state_ = state_ * 6364136223846793005ULL + 1442695040888963407ULL;
    return static_cast<int>((state_ >> 33U) % static_cast<std::uint64_t>(bound));
  }

 private:
  std::uint64_t state_ = 1;
};

std::int64_t looks_of(const PlanningProblem& problem) {
  return static_cast<std::int64_t>(std::clamp(kLooks * problem.step_s / problem.steps, kLooksMin, kLooksMax));
}

class Search {
 public:
  explicit Search(const PlanningProblem& problem) : problem_(problem), looks_(looks_of(problem)) {
    if (looks_ >= kCorridorLooksMin * problem.steps) {
      corridor_families_ = corridor_families(problem);
    }
    for (int f = 0; f < static_cast<int>(problem.families.size()); ++f) {
      if (problem.families[static_cast<std::size_t>(f)].group < 0) {
        launches_.push_back(f);
      }
    }
  }

  Schedule run(const std::vector<Schedule>& given) {
    std::int64_t last_looks = looks_ / kLastShare;
    looks_ -= last_looks;
    std::vector<Schedule> found = starts();
    found.insert(found.end(), given.begin(), given.end());
    std::erase_if(found, [](const Schedule& schedule) { return !schedule.keeps_min_life(); });
    if (found.empty()) {
      found.emplace_back(problem_, Schedule::Running::kStays);
    }
    Schedule combined = best_combination(found);
    improve(combined, looks_);
    // By insertion: which of two is cheaper is not transitive within rounding, and a library's sort relies on it.
    for (auto each = found.begin(); each != found.end(); ++each) {
      std::rotate(std::upper_bound(found.begin(), each, *each, cheaper), each, std::next(each));
    }
    for (Schedule& schedule : found) {
      improve(schedule, looks_);
    }
    found.push_back(std::move(combined));
    Schedule best = best_combination(found);
    improve(best, looks_);
    if (!corridor_families_.empty()) {
      best = widened(std::move(best), found);
    }
    best = shake(std::move(best), std::move(found));
    improve(best, last_looks);
    return best;
  }

 private:
  std::vector<Schedule> starts() const {
    std::vector<Schedule> found{greedy_in_order_of_time(problem_), cover_of_each_step(problem_)};
    if (is_small()) {
      found.push_back(greedy_with_look_ahead(problem_));
    }
    std::optional<Schedule> best_single;
    for (const int f : launches_) {
      Schedule single = single_family(problem_, f);
      if (!best_single || cheaper(single, *best_single)) {
        best_single = std::move(single);
      }
    }
    if (best_single) {
      found.push_back(std::move(*best_single));
    }
    const auto& forecast = problem_.forecast_rows_per_s;
    const auto [least, most] = std::minmax_element(forecast.begin(), forecast.end());
    if (*least >= kFlatShare * *most) {
      found.push_back(flat_cover(problem_));
    }
    return found;
  }

  bool is_small() const {
    double largest = 0;
    for (const int f : launches_) {
      const Family& family = problem_.families[static_cast<std::size_t>(f)];
      largest = std::max(largest, family.rows_per_s[static_cast<std::size_t>(family.first)]);
    }
    const auto& forecast = problem_.forecast_rows_per_s;
    return *std::max_element(forecast.begin(), forecast.end()) <= kSmallFleet * largest;
  }

  // The best once corridors have been searched around it and all others, which are kept as they come out.
  Schedule widened(Schedule best, std::vector<Schedule>& found) {
    for (Schedule& schedule : found) {
      search_corridors(schedule, kCorridorsInVainMax);
    }
    found.push_back(std::move(best));
    best = best_combination(found);
    search_corridors(best, kBestCorridorsInVainMax);
    return best;
  }

  // Corridors around two or three families by chance, rather those that are there, until some do not improve.
  void search_corridors(Schedule& schedule, int in_vain_max) {
    for (int in_vain = 0; in_vain < in_vain_max && looks_ > 0 && !corridor_families_.empty();) {
      std::vector<int> left = corridor_families_;
      std::vector<int> families;
      const std::size_t size = std::min(left.size(), static_cast<std::size_t>(2 + sequence_.below(2)));
      while (families.size() < size) {
        const auto by_chance = [&] { return left.begin() + sequence_.below(static_cast<int>(left.size())); };
        auto chosen = by_chance();
        if (!schedule.any(*chosen)) {
          chosen = by_chance();
        }
        families.push_back(*chosen);
        left.erase(chosen);
      }
      in_vain = search_corridor(schedule, families, looks_) ? 0 : in_vain + 1;
    }
  }

  // A few instances more somewhere give the moves room that they do not have at a local optimum.
  Schedule shake(Schedule best, std::vector<Schedule> elite) {
    elite.insert(elite.begin(), best);
    elite.resize(std::min(elite.size(), kEliteMax), best);
    std::size_t next = 1;
    for (int in_vain = 0; looks_ > 0 && in_vain < kShakesInVainMax && !launches_.empty(); ++in_vain) {
      const int f = launches_[static_cast<std::size_t>(sequence_.below(static_cast<int>(launches_.size())))];
      const int from = problem_.families[static_cast<std::size_t>(f)].first;
      const int first = from + sequence_.below(problem_.steps - from);
      const int end = first + 1 + sequence_.below(problem_.steps - first);
      const Move one = move_of(f, 1 + sequence_.below(kShakenMax));
      if (best.usd(one, first, end) == kInfeasible) {
        continue;
      }
      Schedule shaken = best;
      shaken.apply(one, first, end);
      improve(shaken, looks_);
      search_corridors(shaken, kCorridorsInVainMax);
      Schedule merged = best_combination({best, shaken});
      if (cheaper(merged, best)) {
        best = std::move(merged);
        in_vain = 0;
      }
      elite[next] = std::move(shaken);
      next = next + 1 < elite.size() ? next + 1 : std::min<std::size_t>(1, elite.size() - 1);
    }
    elite.front() = best;
    return best_combination(elite);
  }

  const PlanningProblem& problem_;
  std::int64_t looks_;
  Sequence sequence_;
  std::vector<int> launches_;
  std::vector<int> corridor_families_;
};

}  // namespace

SearchResult cheapest_schedule(const PlanningProblem& problem, const std::vector<Schedule>& given) {
  if (std::optional<Schedule> exact = exact_schedule(problem)) {
    return {.schedule = std::move(*exact), .exact = true};
  }
  return {.schedule = Search(problem).run(given), .exact = false};
}

}  // namespace mark
