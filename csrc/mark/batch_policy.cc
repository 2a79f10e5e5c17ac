#include "mark/batch_policy.h"

#include <algorithm>

namespace mark {
namespace {

// The longest expected gap to the next arrival for which waiting pays. Waiting the gap g for one more request saves
// that request  T(r) + T(1) - g - T(r+1)  (it need not wait for the batch of r rows and then be served alone), and
// costs each of the n requests that are there  g + T(r+1) - T(r).  The two are equal at the g returned. It is negative
// where batching gains nothing (T(b) = b T(1)), and T(1) / (n + 1) where batches are free (T constant).
DurationNs gap_worth_waiting(const LatencyProfile& profile, const BatchTake& take) {
  const DurationNs grown = profile.predict(take.rows + 1) - profile.predict(take.rows);
  return profile.predict(1) / (take.requests + 1) - grown;
}

// How many of the front's first `count` requests to send, where all of them would be padded: those that fill the next
// smaller size, if they and then the rest take no longer than all together. The first are answered sooner then, and the
// rest no later. Where a larger batch costs little more, as on a GPU, nothing is cut: padding is cheaper than a second
// batch.
int cut_to_size(const BatchFront& front, const LatencyProfile& profile, int count) {
  const int rows = front.rows(count);
  const auto above = std::upper_bound(profile.sizes().begin(), profile.sizes().end(), rows);
  if (profile.size_for(rows) <= rows || above == profile.sizes().begin()) {
    return count;
  }
  const int smaller = *(above - 1);
  int fewer = count - 1;
  while (fewer > 0 && front.rows(fewer) > smaller) {
    --fewer;
  }
  if (fewer == 0) {
    return count;
  }
  const DurationNs apart = profile.predict(front.rows(fewer)) + profile.predict(rows - front.rows(fewer));
  return apart <= profile.predict(rows) ? fewer : count;
}

}  // namespace

void ArrivalGap::arrived(TimeNs now) {
  if (last_) {
    const DurationNs gap = std::min(now - *last_, gap_max_);
    mean_ = mean_ ? *mean_ + (gap - *mean_) / kWeightInverse : gap;
  }
  last_ = now;
}

TimeNs BatchPolicy::latest_launch(const Worker& worker, int rows, TimeNs deadline) const {
  return worker.latest_launch(deadline - margin_ - worker.profile.predict(rows));
}

// A worker that cannot meet the SLO even with one row serves single rows, or as many as a single one is padded to:
// late, but not in vain without admission.
BatchLimits BatchPolicy::limits(const LatencyProfile& profile, DurationNs rt_max, int rows_max) const {
  if (fixed_) {
    const int rows = std::min(fixed_->rows, rows_max);
    return {.n_batch = rows, .w_batch = fixed_->wait, .n_sustained = rows};
  }
  const int least = std::clamp(profile.size_for(1), 1, rows_max);
  return batch_limits(profile, rt_max, rows_max)
      .value_or(BatchLimits{.n_batch = least, .w_batch = {}, .n_sustained = least});
}

BatchTake BatchPolicy::take(const BatchFront& front, const Worker& worker, TimeNs now) const {
  if (front.rows(1) > worker.rows_max) {
    return {};
  }
  int count = 1;
  while (count < front.size() && front.rows(count + 1) <= worker.limits.n_batch) {
    ++count;
  }
  if (!fixed_ && !worker.profile.sizes().empty()) {
    count = cut_to_size(front, worker.profile, count);
  }
  const int fit = count;
  while (!fixed_ && count > 1 && now > latest_launch(worker, front.rows(count), front.deadline_of(count))) {
    --count;
  }
  return {.requests = count, .rows = front.rows(count), .requests_that_fit = fit};
}

BatchVerdict BatchPolicy::decide(const BatchFront& front, const BatchCandidate& candidate, const ArrivalGap& arrivals,
                                 TimeNs now) const {
  const Worker& worker = *candidate.worker;
  const BatchTake& take = candidate.take;
  const bool all_taken = front.whole && take.requests == front.size();
  if (!all_taken || front.solo || take.rows >= worker.limits.n_batch) {
    return DispatchReason::kFull;
  }
  if (fixed_) {
    const TimeNs until = front.arrival + fixed_->wait;
    return now >= until ? BatchVerdict{DispatchReason::kWindow} : BatchVerdict{until};
  }
  const DurationNs gap_max = gap_worth_waiting(worker.profile, take);
  if (candidate.another_free || !arrivals.mean() || *arrivals.mean() >= gap_max || now >= arrivals.last() + gap_max) {
    return DispatchReason::kIdle;
  }
  const TimeNs window = front.arrival + worker.limits.w_batch;
  // With one row more: once no newcomer could be included in time, waiting gains nothing.
  const TimeNs slack = latest_launch(worker, take.rows + 1, front.deadline_of(take.requests));
  if (now >= std::min(window, slack)) {
    return window < slack ? DispatchReason::kWindow : DispatchReason::kSlack;
  }
  return std::min({window, slack, arrivals.last() + gap_max});
}

}  // namespace mark
