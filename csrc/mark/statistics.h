// What the request path counts about itself.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "mark/distribution.h"
#include "mark/latency_histogram.h"
#include "mark/request.h"
#include "mark/types.h"

namespace mark {

struct BatchRowBounds {
  static constexpr std::array kValues{1.,   2.,   4.,    8.,    16.,   32.,   64.,   128.,
                                      256., 512., 1024., 2048., 4096., 8192., 16384.};
};
struct RatioBounds {
  static constexpr std::array kValues{0.1, 0.2, 0.5, 0.75, 0.9, 1., 1.1, 1.25, 1.5, 2., 3., 5., 10.};
};

// What is known of one worker that is up.
struct WorkerStatistics {
  WorkerId worker{};
  double correction = 1;  // its batches are predicted to take that many times as long as its profile says
  bool ejected = false;
  std::uint64_t batches = 0;  // that it answered
};

struct Statistics {
  std::uint64_t submitted_requests = 0;  // offered load: refused ones included
  std::uint64_t submitted_rows = 0;
  std::uint64_t submitted_rows_lowest = 0;       // of them, of the lowest priority
  std::uint64_t admitted_requests = 0;           // at the door: what becomes of them is the router's doing
  std::array<std::uint64_t, kOutcomes> ended{};  // requests by Outcome
  std::uint64_t retried_requests = 0;
  std::uint64_t dispatched_batches = 0;
  std::uint64_t dispatched_rows = 0;
  std::uint64_t padded_rows = 0;                        // that the batches were sent with beside those
  std::array<std::uint64_t, 4> dispatched_by_reason{};  // batches by DispatchReason
  std::int64_t queued_requests = 0;
  std::int64_t queued_bytes = 0;
  std::int64_t in_flight_requests = 0;
  std::int64_t ready_workers = 0;
  std::uint64_t ejections = 0;            // of workers that were sick
  std::uint64_t probes = 0;               // copies of batches, sent to ejected workers
  std::vector<WorkerStatistics> workers;  // that are up, by id
  LatencyHistogram latency;               // arrival to completion, of answered and late requests
  LatencyHistogram queue_wait;            // arrival to launch, of requests that were launched for the first time
  // Of batches: from the predicted finish to the earliest deadline, as seen when it was launched; 0 where it was late.
  LatencyHistogram slack;
  BoundedHistogram<BatchRowBounds> batch_rows;            // without padding
  BoundedHistogram<RatioBounds> predicted_over_observed;  // time from launch to answer, of answered batches
  // That left a request of a lower priority behind that was due sooner than their head.
  std::uint64_t overtaking_batches = 0;

  void launched(const Dispatch& batch, TimeNs now);
  // A batch came back after `observed`; nothing was predicted of a copy for an ejected worker.
  void answered(DurationNs predicted, DurationNs observed);

  // Requests answered in time over all that ended, cancelled ones left out; 1 when none has ended.
  double attainment() const;
};

}  // namespace mark
