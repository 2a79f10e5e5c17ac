#include "mark/statistics.h"

#include <algorithm>
#include <cstddef>
#include <numeric>

namespace mark {

double Statistics::attainment() const {
  const auto of = [this](Outcome outcome) { return ended[static_cast<std::size_t>(outcome)]; };
  const std::uint64_t all = std::accumulate(ended.begin(), ended.end(), std::uint64_t{0});
  const std::uint64_t counted = all - of(Outcome::kCancelled);
  return counted == 0 ? 1.0 : static_cast<double>(of(Outcome::kAnswered)) / static_cast<double>(counted);
}

void Statistics::launched(const Dispatch& batch, TimeNs now) {
  ++dispatched_batches;
  ++dispatched_by_reason[static_cast<std::size_t>(batch.reason)];
  dispatched_rows += static_cast<std::uint64_t>(batch.rows);
  padded_rows += static_cast<std::uint64_t>(std::max(batch.size - batch.rows, 0));
  in_flight_requests += static_cast<std::int64_t>(batch.requests.size());
  batch_rows.record(batch.rows);
  slack.record(std::max(batch.earliest_deadline - std::max(batch.predicted_finish, now), DurationNs::zero()));
}

void Statistics::answered(DurationNs predicted, DurationNs observed) {
  if (predicted > DurationNs::zero() && observed > DurationNs::zero()) {
    predicted_over_observed.record(static_cast<double>(predicted.count()) / static_cast<double>(observed.count()));
  }
}

}  // namespace mark
