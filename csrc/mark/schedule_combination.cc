#include "mark/schedule_combination.h"

#include <algorithm>
#include <cstddef>

namespace mark {
namespace {

struct Best {
  double usd = kInfeasible;
  std::size_t before = 0;
};

}  // namespace

Schedule best_combination(const std::vector<Schedule>& schedules) {
  const int steps = schedules.front().problem().steps;
  std::vector<std::vector<Best>> paths(static_cast<std::size_t>(steps), std::vector<Best>(schedules.size()));
  for (int step = 0; step < steps; ++step) {
    for (std::size_t here = 0; here < schedules.size(); ++here) {
      Best& best = paths[static_cast<std::size_t>(step)][here];
      const double usd = schedules[here].column_usd(step);
      if (step == 0) {
        best.usd = usd + schedules[here].transition_usd(nullptr, 0);
        continue;
      }
      for (std::size_t before = 0; before < schedules.size(); ++before) {
        const double so_far = paths[static_cast<std::size_t>(step) - 1][before].usd;
        const double total = so_far + usd + schedules[here].transition_usd(&schedules[before], step);
        if (total < best.usd) {
          best = {total, before};
        }
      }
    }
  }
  const auto cheaper = [](const Best& a, const Best& b) { return a.usd < b.usd; };
  const std::vector<Best>& ends = paths.back();
  auto at = static_cast<std::size_t>(std::min_element(ends.begin(), ends.end(), cheaper) - ends.begin());
  Schedule combined = schedules[at];
  for (int step = steps - 1; step > 0; --step) {
    at = paths[static_cast<std::size_t>(step)][at].before;
    combined.take_column(schedules[at], step - 1);
  }
  // The path counts steps that are not covered, the cost of a schedule what they miss.
  const Schedule& single =
      *std::min_element(schedules.begin(), schedules.end(),
                        [](const Schedule& a, const Schedule& b) { return a.cost().better_than(b.cost()); });
  const bool better = combined.keeps_min_life() && !single.cost().better_than(combined.cost());
  return better ? combined : single;
}

}  // namespace mark
