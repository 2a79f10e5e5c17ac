// Observations counted between fixed bounds: what a scraped histogram is made of.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <vector>

namespace mark {

struct Distribution {
  std::vector<double> bounds;         // increasing
  std::vector<std::uint64_t> counts;  // of what lies up to each bound and beyond the one before; last, beyond them all
  double sum = 0;                     // of the observations

  std::uint64_t count() const { return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0}); }
};

// Counts between the bounds Bounds::kValues. A copyable value; recording never allocates.
template <class Bounds>
class BoundedHistogram {
 public:
  void record(double value) {
    const auto bound = std::lower_bound(Bounds::kValues.begin(), Bounds::kValues.end(), value);
    ++counts_[static_cast<std::size_t>(bound - Bounds::kValues.begin())];
    sum_ += value;
  }

  Distribution distribution() const {
    return {.bounds = {Bounds::kValues.begin(), Bounds::kValues.end()},
            .counts = {counts_.begin(), counts_.end()},
            .sum = sum_};
  }

 private:
  std::array<std::uint64_t, Bounds::kValues.size() + 1> counts_{};
  double sum_ = 0;
};

}  // namespace mark
