#include <doctest/doctest.h>

#include <chrono>
#include <numeric>
#include <vector>

#include "mark/batch_policy.h"

namespace mark {
namespace {

using namespace std::chrono_literals;

constexpr TimeNs kStart{};

TimeNs at(DurationNs since_start) { return kStart + since_start; }

Worker worker_with(std::vector<ProfilePoint> points, DurationNs rt_max = 100ms, int rows_max = 8) {
  LatencyProfile profile{std::move(points)};
  const BatchLimits limits = batch_limits(profile, rt_max, rows_max).value_or(BatchLimits{});
  return {.id = WorkerId{1}, .profile = std::move(profile), .limits = limits, .rows_max = rows_max};
}

Worker flat_worker() { return worker_with({{1, 10ms}, {8, 10ms}}); }

BatchFront front_of(const std::vector<int>& rows, DurationNs deadline, bool whole = true) {
  BatchFront front;
  front.arrival = kStart;
  front.deadline = at(deadline);
  front.whole = whole;
  int sum = 0;
  for (const int count : rows) {
    front.requests.push_back(RequestId::of(static_cast<std::uint32_t>(front.requests.size()), 1));
    front.rows_through.push_back(sum += count);
  }
  return front;
}

ArrivalGap arrivals_every(DurationNs gap, int count = 50) {
  ArrivalGap arrivals(100ms);
  for (int i = 1 - count; i <= 0; ++i) {
    arrivals.arrived(at(i * gap));
  }
  return arrivals;
}

BatchVerdict decide(const BatchFront& front, const Worker& worker, const ArrivalGap& arrivals, TimeNs now,
                    bool another_free = false) {
  const BatchPolicy policy(0ms);
  return policy.decide(front, {&worker, policy.take(front, worker, now), another_free}, arrivals, now);
}

TEST_CASE("a batch takes as many requests as fit the worker's useful rows") {
  const Worker worker = flat_worker();
  const BatchTake take = BatchPolicy(0ms).take(front_of({3, 4, 2}, 100ms), worker, kStart);
  CHECK(take.requests == 2);
  CHECK(take.rows == 7);
  CHECK_FALSE(take.cut_by_time());
}

TEST_CASE("a request that would break the head's deadline is left for the next batch") {
  const Worker worker = worker_with({{1, 10ms}, {8, 45ms}});  // 5 ms for each further row
  const BatchTake take = BatchPolicy(2ms).take(front_of({1, 1, 1, 1}, 22ms), worker, kStart);
  CHECK(take.requests == 3);  // 20 ms and the margin of 2 ms
  CHECK(take.cut_by_time());
}

TEST_CASE("a head that will be late is taken all the same, alone") {
  const BatchTake take = BatchPolicy(0ms).take(front_of({1, 1}, 5ms), flat_worker(), kStart);
  CHECK(take.requests == 1);
  CHECK(take.requests_that_fit == 2);
}

TEST_CASE("a worker that takes fewer rows than the head has takes nothing") {
  CHECK(BatchPolicy(0ms).take(front_of({9}, 100ms), flat_worker(), kStart).requests == 0);
}

TEST_CASE("a full batch is launched, and so is one that the next request cannot join") {
  const ArrivalGap arrivals = arrivals_every(1us);
  CHECK(std::get<DispatchReason>(decide(front_of({8}, 100ms), flat_worker(), arrivals, kStart)) ==
        DispatchReason::kFull);
  CHECK(std::get<DispatchReason>(decide(front_of({1}, 100ms, false), flat_worker(), arrivals, kStart)) ==
        DispatchReason::kFull);
  BatchFront solo = front_of({1}, 100ms);
  solo.solo = true;
  CHECK(std::get<DispatchReason>(decide(solo, flat_worker(), arrivals, kStart)) == DispatchReason::kFull);
}

TEST_CASE("nothing waits where batching gains nothing") {
  const Worker proportional = worker_with({{1, 10ms}, {8, 80ms}});
  CHECK(std::get<DispatchReason>(decide(front_of({1}, 100ms), proportional, arrivals_every(1us), kStart)) ==
        DispatchReason::kIdle);
}

TEST_CASE("nothing waits while another worker is free, or before the arrival rate is known") {
  const BatchFront front = front_of({1}, 100ms);
  CHECK(std::get<DispatchReason>(decide(front, flat_worker(), arrivals_every(1us), kStart, true)) ==
        DispatchReason::kIdle);
  CHECK(std::get<DispatchReason>(decide(front, flat_worker(), arrivals_every(1us, 1), kStart)) ==
        DispatchReason::kIdle);
}

TEST_CASE("with free batching it waits until about as many are there as arrive in a service time") {
  // g* = T / (n + 1): with T = 10 ms and a gap of 2.1 ms, 3 requests wait for the next and 4 do not.
  const ArrivalGap arrivals = arrivals_every(2100us);
  CHECK(std::get<TimeNs>(decide(front_of({1, 1, 1}, 100ms), flat_worker(), arrivals, kStart)) == at(2500us));
  CHECK(std::get<DispatchReason>(decide(front_of({1, 1, 1, 1}, 100ms), flat_worker(), arrivals, kStart)) ==
        DispatchReason::kIdle);
}

TEST_CASE("it waits no longer than the gap that was worth waiting for") {
  const ArrivalGap arrivals = arrivals_every(1ms);
  const BatchFront front = front_of({1}, 100ms);
  CHECK(std::get<TimeNs>(decide(front, flat_worker(), arrivals, at(5ms) - 1ns)) == at(5ms));
  CHECK(std::get<DispatchReason>(decide(front, flat_worker(), arrivals, at(5ms))) == DispatchReason::kIdle);
}

TEST_CASE("it waits no longer than the head's slack") {
  const BatchFront front = front_of({1}, 12ms);
  CHECK(std::get<TimeNs>(decide(front, flat_worker(), arrivals_every(1ms), kStart)) == at(2ms));
  CHECK(std::get<DispatchReason>(decide(front, flat_worker(), arrivals_every(1ms), at(2ms))) == DispatchReason::kSlack);
}

TEST_CASE("it waits no longer than the window of the two constraints") {
  const Worker worker = worker_with({{1, 10ms}, {8, 10ms}}, 13ms);
  REQUIRE(worker.limits.w_batch == 3ms);
  const BatchFront front = front_of({1}, 100ms);
  CHECK(std::get<TimeNs>(decide(front, worker, arrivals_every(1ms), kStart)) == at(3ms));
  CHECK(std::get<DispatchReason>(decide(front, worker, arrivals_every(1ms), at(3ms))) == DispatchReason::kWindow);
}

TEST_CASE("the mean gap follows the arrivals, and one silence does not hide them") {
  ArrivalGap arrivals(100ms);
  CHECK_FALSE(arrivals.mean().has_value());
  arrivals.arrived(at(0ms));
  arrivals.arrived(at(8ms));
  CHECK(arrivals.mean() == 8ms);
  arrivals.arrived(at(24ms));
  CHECK(arrivals.mean() == 9ms);
  arrivals.arrived(at(1h));
  CHECK(arrivals.mean() == 9ms + 91'000us / 8);
}

}  // namespace
}  // namespace mark
