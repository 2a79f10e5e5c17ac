// What the request path counts for those who look on: waits, batches, slack, and how well it predicts.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "mark/dispatcher.h"
#include "mark/statistics.h"

namespace mark {
namespace {

using namespace std::chrono_literals;

struct Bounds {
  static constexpr std::array kValues{1.0, 2.0};
};
constexpr WorkerId kWorker{1};

// How many observations lie between the bounds around a value.
std::uint64_t at(const Distribution& distribution, double value) {
  const auto bound = std::lower_bound(distribution.bounds.begin(), distribution.bounds.end(), value);
  return distribution.counts[static_cast<std::size_t>(bound - distribution.bounds.begin())];
}

// One worker that is predicted to take 10 ms for up to four rows.
struct Path {
  Dispatcher dispatcher{{.rt_max = 100ms, .rows_max = 4}};
  TimeNs now;
  std::uint32_t next = 0;

  Path() { dispatcher.worker_up(kWorker, {.profile = LatencyProfile{{{1, 10ms}, {4, 10ms}}}, .rows_max = 4}, now); }

  void submit(DurationNs within = 100ms, int priority = 1) {
    const Request request{.id = RequestId::of(next++, 1), .deadline = now + within, .priority = priority};
    CHECK(dispatcher.submit(request, now) == Admission::kAccepted);
  }
  BatchId launch() {
    Decisions decisions = dispatcher.poll(now);
    if (decisions.dispatches.empty()) {  // it waits for more
      now = dispatcher.next_wakeup().value_or(now);
      decisions = dispatcher.poll(now);
    }
    REQUIRE(decisions.dispatches.size() == 1);
    return decisions.dispatches.front().batch;
  }
  Statistics statistics() const { return dispatcher.statistics(); }
};

TEST_CASE("a bound belongs to what lies up to it, and what lies beyond all of them is counted") {
  BoundedHistogram<Bounds> histogram;
  for (const double value : {-1.0, 1.0, 1.5, 2.0, 2.1, 9.0}) histogram.record(value);
  const Distribution distribution = histogram.distribution();
  CHECK(distribution.bounds == std::vector<double>{1.0, 2.0});
  CHECK(distribution.counts == std::vector<std::uint64_t>{2, 2, 2});
  CHECK(distribution.count() == 6);
  CHECK(distribution.sum == doctest::Approx(14.6));
}

TEST_CASE("a distribution of latencies loses none and puts each below its bound") {
  LatencyHistogram histogram;
  const Distribution nothing = histogram.distribution();
  for (const double bound : nothing.bounds) {
    const auto edge = DurationNs{static_cast<std::int64_t>(std::llround(bound * 1e9))};
    histogram.record(edge - 1ns);
    CHECK(at(histogram.distribution(), bound) == 1);
  }
  histogram.record(0ns);
  histogram.record(1h);
  const Distribution all = histogram.distribution();
  CHECK(all.bounds.front() == doctest::Approx(64e-6));
  CHECK(all.bounds[2] == doctest::Approx(128e-6));
  CHECK(all.bounds.back() == doctest::Approx(16.777216));
  CHECK(all.counts.size() == all.bounds.size() + 1);
  CHECK(all.counts.front() == 2);
  CHECK(all.counts.back() == 1);
  CHECK(all.count() == histogram.count());
  CHECK(all.sum == doctest::Approx(std::chrono::duration<double>(histogram.sum()).count()));
}

TEST_CASE_FIXTURE(Path, "each request's wait is counted when it is launched, each batch's rows and slack with it") {
  submit();
  const BatchId first = launch();
  submit();
  submit();
  now += 10ms;
  dispatcher.complete(first, now);
  launch();
  const Statistics counted = statistics();
  CHECK(counted.queue_wait.count() == 3);
  CHECK(counted.queue_wait.sum() == 20ms);
  CHECK(counted.batch_rows.distribution().counts[0] == 1);
  CHECK(counted.batch_rows.distribution().counts[1] == 1);
  CHECK(counted.batch_rows.distribution().sum == 3.0);
  CHECK(counted.slack.count() == 2);
  CHECK(counted.slack.sum() == 90ms + 80ms);
  CHECK(counted.dispatched_batches == 2);
  CHECK(counted.dispatched_rows == 3);
  CHECK(counted.in_flight_requests == 2);
}

TEST_CASE("a batch that is late when it is launched has no slack") {
  Dispatcher late{{.rt_max = 100ms, .admission = false}};
  const TimeNs now;
  late.worker_up(kWorker, {.profile = LatencyProfile{{{1, 200ms}}}}, now);
  late.submit({.id = RequestId::of(0, 1), .deadline = now + 100ms}, now);
  CHECK(late.poll(now).dispatches.size() == 1);
  CHECK(late.statistics().slack.count() == 1);
  CHECK(late.statistics().slack.sum() == 0ns);
}

TEST_CASE_FIXTURE(Path, "a prediction is compared with what the batch took") {
  for (const DurationNs took : {5ms, 10ms, 40ms}) {
    submit();
    const BatchId batch = launch();
    now += took;
    dispatcher.complete(batch, now);
  }
  const Distribution counted = statistics().predicted_over_observed.distribution();
  CHECK(counted.count() == 3);
  CHECK(at(counted, 2.0) == 1);
  CHECK(at(counted, 1.0) == 1);
  CHECK(at(counted, 0.25) == 1);
}

TEST_CASE_FIXTURE(Path, "neither a failed batch nor an answer at once says how well it is predicted") {
  submit();
  BatchId batch = launch();
  dispatcher.complete(batch, now);
  submit();
  batch = launch();
  now += 1ms;
  dispatcher.fail(batch, Failure::kModelError, now);
  CHECK(statistics().predicted_over_observed.distribution().count() == 0);
}

TEST_CASE_FIXTURE(Path, "a retry is another batch, but no second wait") {
  submit();
  submit();
  const BatchId batch = launch();
  REQUIRE(statistics().in_flight_requests == 2);
  const std::uint64_t waits = statistics().queue_wait.count();
  const std::uint64_t batches = statistics().dispatched_batches;
  now += 1ms;
  dispatcher.fail(batch, Failure::kModelError, now);
  REQUIRE(statistics().retried_requests == 2);
  launch();
  CHECK(statistics().queue_wait.count() == waits);
  CHECK(statistics().dispatched_batches == batches + 1);
}

TEST_CASE_FIXTURE(Path, "a batch that leaves a sooner one behind, because of its priority, is counted") {
  submit();
  BatchId batch = launch();
  for (int i = 0; i < 4; ++i) submit(80ms, 1);
  submit(40ms, 2);
  now += 10ms;
  dispatcher.complete(batch, now);
  batch = launch();
  CHECK(statistics().overtaking_batches == 1);
  now += 10ms;
  dispatcher.complete(batch, now);
  launch();
  CHECK(statistics().overtaking_batches == 1);
}

TEST_CASE_FIXTURE(Path, "a batch that takes the sooner one of a lower priority along overtakes nobody") {
  submit(80ms, 1);
  submit(40ms, 2);
  launch();
  CHECK(statistics().overtaking_batches == 0);
}

}  // namespace
}  // namespace mark
