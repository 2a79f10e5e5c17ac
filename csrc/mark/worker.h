// A worker as the dispatcher sees it: what it can do, and until when it is busy.
#pragma once

#include <chrono>

#include "mark/batch_limits.h"
#include "mark/latency_profile.h"
#include "mark/types.h"

namespace mark {

// Invariant: service_in_flight is the predicted time of the batches in flight, zero when there are none.
struct Worker {
  WorkerId id{};
  LatencyProfile profile;  // measured times correction: what everything is predicted with
  BatchLimits limits;      // of its profile under the SLO; several requests together never have more than n_batch rows
  int rows_max = 1;        // what one request alone may have
  int batches_in_flight_max = 1;
  int batches_in_flight = 0;
  DurationNs service_in_flight{};
  TimeNs busy_until = TimeNs::min();  // predicted end of its batches in flight
  LatencyProfile measured = profile;
  double correction = 1;
  bool draining = false;
  bool ejected = false;  // sick: takes copies of batches at most

  bool serves() const { return !draining && !ejected; }
  bool is_idle() const { return batches_in_flight == 0; }
  bool takes_batches() const { return serves() && batches_in_flight < batches_in_flight_max; }

  double rows_per_s() const {
    return limits.n_sustained / std::chrono::duration<double>(profile.predict(limits.n_sustained)).count();
  }

  // Until it can start another batch. An overdue worker is taken to need as long again as it is overdue: the longer it
  // hangs, the less it attracts.
  DurationNs remaining(TimeNs now) const {
    return batches_in_flight == 0 ? DurationNs::zero() : std::chrono::abs(busy_until - now);
  }

  TimeNs finish(int rows, TimeNs now) const { return now + remaining(now) + profile.predict(rows); }

  // The last instant at which a batch sent to it still starts by `start_by`, as remaining() predicts: the inverse of
  // now + remaining(now). Earlier than every instant when its batches in flight alone take longer.
  TimeNs latest_launch(TimeNs start_by) const {
    if (batches_in_flight == 0) {
      return start_by;
    }
    return start_by < busy_until ? TimeNs::min() : busy_until + (start_by - busy_until) / 2;
  }

  void launched(DurationNs service, TimeNs now) {
    busy_until = now + remaining(now) + service;
    service_in_flight += service;
    ++batches_in_flight;
  }

  void finished(DurationNs service, TimeNs now) {
    service_in_flight -= service;
    --batches_in_flight;
    busy_until = now + service_in_flight;
  }
};

}  // namespace mark
