#include "mark/local_search.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

namespace mark {
namespace {

// Improvements below this share of a schedule's cost are rounding.
constexpr double kNegligibleShare = 1e-9;
constexpr int kTimesMax = 1 << 20;
constexpr double kManyMax = 1000;

bool never_worse(const Family& a, const Family& b, double most_rows_per_s) {
  const bool plain = a.group < 0 && b.group < 0 && a.pool < 0 && !a.only_shrinks && !b.only_shrinks &&
                     a.first <= b.first && a.count_max * a.rows_per_s.back() >= most_rows_per_s;
  return plain && a.usd_per_step <= b.usd_per_step && a.start_usd <= b.start_usd &&
         a.rows_per_s.back() >= b.rows_per_s.back();
}

class LocalSearch {
 public:
  LocalSearch(Schedule& schedule, std::int64_t& looks)
      : schedule_(schedule),
        looks_(looks),
        negligible_usd_(kNegligibleShare * (1e-6 + schedule.cost().usd)),
        useful_(useful_families(schedule.problem())) {}

  void run(bool pairs) {
    do {
      while (sweep_singles() && looks_ > 0) {
      }
    } while (pairs && looks_ > 0 && sweep_pairs());
  }

 private:
  const Family& family(int f) const { return schedule_.problem().families[static_cast<std::size_t>(f)]; }
  double capacity(int f) const { return family(f).rows_per_s.back(); }

  bool sweep_singles() {
    bool improved = false;
    for (const int f : useful_) {
      improved |= try_move(move_of(f, 1));
    }
    for (const int f : present()) {
      improved |= try_move(move_of(f, -1));
      for (const int other : useful_) {
        if (other != f) {
          improved |= try_swaps(f, other);
        }
      }
    }
    return improved;
  }

  // One or two of each kind, and as many as have about the capacity of one of the other.
  bool try_swaps(int gone, int come) {
    bool improved = try_move(move_of(gone, -1, come, 1));
    improved |= try_move(move_of(gone, -2, come, 1));
    improved |= try_move(move_of(gone, -1, come, 2));
    const double ratio = capacity(come) / capacity(gone);
    const double larger = ratio >= 1 ? ratio : 1 / ratio;
    for (const double count : {std::floor(larger), std::ceil(larger)}) {
      if (count > 2 && count < kManyMax) {
        const int many = static_cast<int>(count);
        improved |= try_move(ratio >= 1 ? move_of(gone, -many, come, 1) : move_of(gone, -1, come, many));
      }
    }
    return improved;
  }

  bool sweep_pairs() {
    bool improved = false;
    const std::vector<int> here = present();
    for (std::size_t i = 0; i < here.size() && looks_ > 0; ++i) {
      for (std::size_t k = i + 1; k < here.size(); ++k) {
        for (const int other : useful_) {
          if (other != here[i] && other != here[k]) {
            improved |= try_move(move_of(here[i], -1, here[k], -1, other, 1));
          }
        }
      }
      for (std::size_t other = 0; other < useful_.size(); ++other) {
        for (std::size_t third = other + 1; third < useful_.size(); ++third) {
          if (useful_[other] != here[i] && useful_[third] != here[i]) {
            improved |= try_move(move_of(here[i], -1, useful_[other], 1, useful_[third], 1));
          }
        }
      }
    }
    return improved;
  }

  std::vector<int> present() const {
    std::vector<int> found;
    for (int f = 0; f < static_cast<int>(schedule_.problem().families.size()); ++f) {
      if (schedule_.any(f)) {
        found.push_back(f);
      }
    }
    return found;
  }

  bool try_move(const Move& move) {
    if (looks_ <= 0 || !schedule_.may_save(move)) {
      return false;
    }
    looks_ -= schedule_.problem().steps;
    const Stretch stretch = schedule_.cheapest(move);
    if (stretch.usd >= -negligible_usd_) {
      return false;
    }
    int factor = 1;
    double usd = stretch.usd;
    while (factor < kTimesMax) {
      const double doubled = schedule_.usd(times(move, 2 * factor), stretch.first, stretch.end);
      if (doubled >= usd) {
        break;
      }
      factor *= 2;
      usd = doubled;
    }
    schedule_.apply(times(move, factor), stretch.first, stretch.end);
    return true;
  }

  Schedule& schedule_;
  std::int64_t& looks_;
  double negligible_usd_;
  std::vector<int> useful_;
};

}  // namespace

std::vector<int> useful_families(const PlanningProblem& problem) {
  const int families = static_cast<int>(problem.families.size());
  const double most = *std::max_element(problem.forecast_rows_per_s.begin(), problem.forecast_rows_per_s.end());
  std::vector<int> useful;
  for (int f = 0; f < families; ++f) {
    const Family& each = problem.families[static_cast<std::size_t>(f)];
    bool is_useful = each.rows_per_s[static_cast<std::size_t>(each.first)] > 0;
    for (int other = 0; other < families && is_useful; ++other) {
      const Family& better = problem.families[static_cast<std::size_t>(other)];
      // Of equal ones, the first is useful.
      is_useful = other == f || !never_worse(better, each, most) || (f < other && never_worse(each, better, most));
    }
    if (is_useful) {
      useful.push_back(f);
    }
  }
  return useful;
}

void improve(Schedule& schedule, std::int64_t& looks, bool pairs) { LocalSearch(schedule, looks).run(pairs); }

}  // namespace mark
