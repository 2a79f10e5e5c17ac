#include <doctest/doctest.h>

#include <chrono>
#include <cstdint>
#include <vector>

#include "mark/balancer.h"

namespace mark {
namespace {

using namespace std::chrono_literals;

constexpr TimeNs kStart{};
constexpr WorkerId kSlow{1};
constexpr WorkerId kFast{2};

TimeNs at(DurationNs since_start) { return kStart + since_start; }

Worker worker_of(WorkerId id, DurationNs latency, int batches_in_flight_max = 1, int n_batch = 8) {
  return {.id = id,
          .profile = LatencyProfile{{{1, latency}, {8, latency}}},
          .limits = {.n_batch = n_batch, .w_batch = 0ms},
          .rows_max = 8,
          .batches_in_flight_max = batches_in_flight_max};
}

BatchFront front_of(int requests, DurationNs deadline, bool whole = true) {
  BatchFront front;
  front.arrival = kStart;
  front.deadline = at(deadline);
  front.whole = whole;
  for (int i = 0; i < requests; ++i) {
    front.requests.push_back(RequestId::of(static_cast<std::uint32_t>(i), 1));
    front.rows_through.push_back(i + 1);
  }
  return front;
}

struct BalancerFixture {
  BatchPolicy policy{0ms};
  Balancer balancer{policy, 8, 100ms};
};

TEST_CASE_FIXTURE(BalancerFixture, "the free worker that finishes first takes the batch") {
  balancer.add(worker_of(kSlow, 30ms));
  balancer.add(worker_of(kFast, 10ms));
  const BalancerChoice choice = balancer.choose(front_of(1, 100ms), kStart);
  CHECK(choice.candidate.worker->id == kFast);
  CHECK(choice.candidate.another_free);
  CHECK_FALSE(choice.hold_until.has_value());
}

TEST_CASE_FIXTURE(BalancerFixture, "a tie goes to the lower id, in whatever order they came up") {
  balancer.add(worker_of(kFast, 10ms));
  balancer.add(worker_of(kSlow, 10ms));
  CHECK(balancer.choose(front_of(1, 100ms), kStart).candidate.worker->id == kSlow);
}

TEST_CASE_FIXTURE(BalancerFixture, "the queue waits for a busy worker that finishes it sooner, until that is untrue") {
  balancer.add(worker_of(kSlow, 50ms));
  balancer.add(worker_of(kFast, 10ms));
  balancer.launched(kFast, 10ms, kStart);
  // The fast one is due at 10 ms. It stays the better choice until it is late by the 40 ms that the slow one needs
  // more.
  const BatchFront front = front_of(2, 500ms);
  CHECK(balancer.choose(front, at(1ms)).hold_until == at(50ms));
  CHECK(balancer.choose(front, at(20ms)).hold_until == at(50ms));
  CHECK(balancer.choose(front, at(50ms) - 1ns).hold_until.has_value());
  const BalancerChoice choice = balancer.choose(front, at(50ms));
  CHECK_FALSE(choice.hold_until.has_value());
  CHECK(choice.candidate.worker->id == kSlow);
}

TEST_CASE_FIXTURE(BalancerFixture, "the queue waits no longer than the free worker has slack") {
  balancer.add(worker_of(kSlow, 50ms));
  balancer.add(worker_of(kFast, 10ms));
  balancer.launched(kFast, 10ms, kStart);
  CHECK(balancer.choose(front_of(2, 60ms), kStart).hold_until == at(10ms));
  CHECK_FALSE(balancer.choose(front_of(2, 60ms), at(10ms)).hold_until.has_value());
}

TEST_CASE_FIXTURE(BalancerFixture,
                  "a head that only a busy worker finishes in time is left to it, however long the queue") {
  balancer.add(worker_of(kSlow, 50ms));
  balancer.add(worker_of(kFast, 10ms));
  balancer.launched(kFast, 10ms, kStart);
  const BatchFront front = front_of(8, 30ms, false);
  // Once the fast one is late, it is taken to need as long again: at 15 ms until 20 ms, and that is the last moment.
  CHECK(balancer.choose(front, at(1ms)).left_to_busy_until == at(15ms) + 1ns);
  CHECK(balancer.choose(front, at(15ms)).left_to_busy_until.has_value());
  CHECK(balancer.free_in_time(1, at(51ms), at(1ms)));
  CHECK_FALSE(balancer.free_in_time(1, at(51ms) - 1ns, at(1ms)));
  CHECK_FALSE(balancer.free_in_time(9, at(1s), at(1ms)));
  const BalancerChoice choice = balancer.choose(front, at(15ms) + 1ns);
  CHECK_FALSE(choice.left_to_busy_until.has_value());
  CHECK(choice.head_is_lost);
  CHECK(choice.candidate.worker->id == kSlow);
}

TEST_CASE_FIXTURE(BalancerFixture, "a worker that is in time comes before one that finishes its larger batch sooner") {
  Worker late = worker_of(kFast, 10ms);
  late.profile = LatencyProfile{{{1, 40ms}, {8, 40ms}}};
  balancer.add(late);
  balancer.add(worker_of(kSlow, 30ms));
  const BalancerChoice choice = balancer.choose(front_of(1, 35ms), kStart);
  CHECK(choice.candidate.worker->id == kSlow);
  CHECK_FALSE(choice.head_is_lost);
}

TEST_CASE_FIXTURE(BalancerFixture, "free workers that take fewer rows are told from those that take more") {
  Worker small = worker_of(kSlow, 10ms);
  small.rows_max = 4;
  balancer.add(small);
  CHECK(balancer.free_rows_max() == 4);
  balancer.add(worker_of(kFast, 10ms));
  CHECK(balancer.free_rows_max() == 8);
  balancer.launched(kFast, 10ms, kStart);
  CHECK(balancer.free_rows_max() == 4);
  balancer.launched(kSlow, 10ms, kStart);
  CHECK(balancer.free_rows_max() == 0);
}

TEST_CASE_FIXTURE(BalancerFixture, "a queue that no one batch holds uses the slow worker too") {
  balancer.add(worker_of(kSlow, 50ms));
  balancer.add(worker_of(kFast, 10ms));
  balancer.launched(kFast, 10ms, kStart);
  CHECK_FALSE(balancer.choose(front_of(8, 500ms, false), kStart).hold_until.has_value());
}

TEST_CASE_FIXTURE(BalancerFixture, "a draining worker takes nothing, free or soon free") {
  balancer.add(worker_of(kSlow, 50ms));
  balancer.add(worker_of(kFast, 10ms));
  balancer.drain(kFast);
  CHECK(balancer.ready() == 1);
  CHECK(balancer.fastest(1) == 50ms);
  CHECK(balancer.choose(front_of(1, 500ms), kStart).candidate.worker->id == kSlow);
  balancer.drain(kSlow);
  CHECK(balancer.choose(front_of(1, 500ms), kStart).candidate.worker == nullptr);
  CHECK_FALSE(balancer.fastest(1).has_value());
  CHECK_FALSE(balancer.any_free());
}

TEST_CASE_FIXTURE(BalancerFixture, "a worker is free while it has fewer batches in flight than it takes") {
  balancer.add(worker_of(kFast, 10ms, 2));
  balancer.launched(kFast, 10ms, kStart);
  CHECK(balancer.any_free());
  CHECK(balancer.until_free(kStart) == 10ms);  // it takes the next batch, and starts it after this one
  CHECK(balancer.find(kFast)->finish(1, kStart) == at(20ms));
  balancer.launched(kFast, 10ms, kStart);
  CHECK_FALSE(balancer.any_free());
  CHECK(balancer.until_free(kStart) == 20ms);
  balancer.finished(kFast, 10ms, at(15ms));  // the first was late, so the second will be
  CHECK(balancer.any_free());
  CHECK(balancer.find(kFast)->busy_until == at(25ms));
}

TEST_CASE_FIXTURE(BalancerFixture, "the end of a wait is exact beside a pipelined worker too") {
  balancer.add(worker_of(kSlow, 50ms, 2));
  balancer.add(worker_of(kFast, 10ms));
  balancer.launched(kSlow, 20ms, kStart);
  balancer.launched(kFast, 10ms, kStart);
  const BatchFront front = front_of(2, 10s);
  // From 20 ms on both are overdue and lose at the same pace: the fast one stays ahead for good.
  CHECK(balancer.choose(front, at(1ms)).hold_until.value_or(TimeNs::max()) <=
        balancer.find(kSlow)->latest_launch(at(10s) - 50ms));
  for (DurationNs now = 1ms; now < 5s; now *= 2) {
    CHECK(balancer.choose(front, at(now)).hold_until.has_value());
  }
}

}  // namespace
}  // namespace mark
