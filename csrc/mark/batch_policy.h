// How large a batch becomes, and how long it waits for more: MArk's two constraints (USENIX ATC'19, section 4.3), cut
// to the slack of the head request, and only while waiting gains something.
#pragma once

#include <optional>
#include <variant>

#include "mark/batch_limits.h"
#include "mark/batch_queue.h"
#include "mark/request.h"
#include "mark/types.h"
#include "mark/worker.h"

namespace mark {

// How many requests of a front a worker would take.
struct BatchTake {
  int requests = 0;  // 0: the head has more rows than the worker takes
  int rows = 0;
  int requests_that_fit = 0;  // without a thought for the head's deadline

  // One more would fit in the batch, but would break the head's deadline.
  bool cut_by_time() const { return requests < requests_that_fit; }
};

// A worker that could take the front now.
struct BatchCandidate {
  const Worker* worker = nullptr;
  BatchTake take;
  bool another_free = false;  // a request that comes next would find another free worker
};

// The mean time between arrivals, as an exponentially weighted moving average.
class ArrivalGap {
 public:
  // Gaps longer than gap_max count as gap_max: beyond the SLO nothing waits for them in any case, and one long silence
  // must not hide the burst that follows it.
  explicit ArrivalGap(DurationNs gap_max) : gap_max_(gap_max) {}

  void arrived(TimeNs now);
  std::optional<DurationNs> mean() const { return mean_; }  // empty before the second arrival
  TimeNs last() const { return last_.value_or(TimeNs::min()); }

 private:
  static constexpr int kWeightInverse = 8;

  DurationNs gap_max_;
  std::optional<TimeNs> last_;
  std::optional<DurationNs> mean_;
};

// Launch now, for this reason; or wait until then.
using BatchVerdict = std::variant<DispatchReason, TimeNs>;

// Batches as other servers form them, to compare with: of so many rows, or of what there is when the first request has
// waited so long, whatever its deadline.
struct FixedBatch {
  int rows = 1;
  DurationNs wait{};
};

class BatchPolicy {
 public:
  // margin: kept between a batch's predicted finish and its head's deadline.
  explicit BatchPolicy(DurationNs margin, std::optional<FixedBatch> fixed = std::nullopt)
      : margin_(margin), fixed_(fixed) {}

  // Of a worker that takes so many rows.
  BatchLimits limits(const LatencyProfile& profile, DurationNs rt_max, int rows_max) const;

  // The longest part of the front, from its head, that fits in one batch of the worker and lets all of it meet its
  // deadlines. The head itself is taken even if it would be late. Where the worker is only sent certain sizes, what
  // would have to be padded is cut to a smaller one if that answers nobody later.
  BatchTake take(const BatchFront& front, const Worker& worker, TimeNs now) const;

  // The last instant at which the worker, given a batch of so many rows, still meets the deadline with the margin.
  TimeNs latest_launch(const Worker& worker, int rows, TimeNs deadline) const;

  BatchVerdict decide(const BatchFront& front, const BatchCandidate& candidate, const ArrivalGap& arrivals,
                      TimeNs now) const;

 private:
  DurationNs margin_;
  std::optional<FixedBatch> fixed_;
};

}  // namespace mark
