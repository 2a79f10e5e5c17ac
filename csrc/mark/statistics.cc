#include "mark/statistics.h"

#include <cstddef>
#include <numeric>

namespace mark {

double Statistics::attainment() const {
  const auto of = [this](Outcome outcome) { return ended[static_cast<std::size_t>(outcome)]; };
  const std::uint64_t all = std::accumulate(ended.begin(), ended.end(), std::uint64_t{0});
  const std::uint64_t counted = all - of(Outcome::kCancelled);
  return counted == 0 ? 1.0 : static_cast<double>(of(Outcome::kAnswered)) / static_cast<double>(counted);
}

}  // namespace mark
