// The door and the queue of a dispatcher beside which a serverless function takes what is refused.
#include <doctest/doctest.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <vector>

#include "mark/dispatcher.h"

namespace mark {
namespace {

using namespace std::chrono_literals;

constexpr DurationNs kRtMax = 100ms;
constexpr DurationNs kFunction = 40ms;
constexpr TimeNs kStart{};
constexpr WorkerId kWorker{1};

TimeNs at(DurationNs since_start) { return kStart + since_start; }

DispatcherParams params_of(DurationNs burst_latency, bool admission = true) {
  return {.rt_max = kRtMax, .rows_max = 2, .admission = admission, .burst_latency = burst_latency};
}

// Of a worker that takes so long for one row, and so long for two.
WorkerSpec spec_of(DurationNs one, DurationNs two) { return {.profile = LatencyProfile{{{1, one}, {2, two}}}}; }

Request request_of(std::uint32_t slot, int rows = 1) {
  return {.id = RequestId::of(slot, 1), .rows = rows, .deadline = at(kRtMax)};
}

std::vector<std::uint32_t> slots_of(const std::vector<Drop>& drops) {
  std::vector<std::uint32_t> slots;
  slots.reserve(drops.size());
  for (const Drop& drop : drops) {
    slots.push_back(drop.request.slot());
  }
  return slots;
}

// A request of two rows computes, one of one row waits behind it.
BatchId occupy(Dispatcher& dispatcher) {
  REQUIRE(dispatcher.submit(request_of(0, 2), kStart) == Admission::kAccepted);
  const Decisions decisions = dispatcher.poll(kStart);
  REQUIRE(decisions.dispatches.size() == 1);
  REQUIRE(dispatcher.submit(request_of(1), kStart) == Admission::kAccepted);
  REQUIRE(dispatcher.poll(kStart).dispatches.empty());
  return decisions.dispatches[0].batch;
}

TEST_CASE("without a worker nobody waits for one, where a function answers") {
  for (const bool admission : {true, false}) {
    CAPTURE(admission);
    Dispatcher alone(params_of(0ms, admission));
    CHECK(alone.submit(request_of(0), kStart) == Admission::kAccepted);
    Dispatcher beside(params_of(kFunction, admission));
    // A dispatcher that predicts nothing leaves nothing to a function.
    CHECK(beside.submit(request_of(0), kStart) == (admission ? Admission::kPredictedMiss : Admission::kAccepted));
  }
}

TEST_CASE("a draining worker is not one that is waited for") {
  Dispatcher dispatcher(params_of(kFunction));
  dispatcher.worker_up(kWorker, spec_of(10ms, 20ms), kStart);
  CHECK(dispatcher.submit(request_of(0), kStart) == Admission::kAccepted);
  dispatcher.worker_drain(kWorker);
  CHECK(dispatcher.submit(request_of(1), kStart) == Admission::kPredictedMiss);
}

TEST_CASE("with a worker that is in time the door is as without a function") {
  for (const DurationNs burst_latency : {0ms, 40ms}) {
    Dispatcher dispatcher(params_of(burst_latency));
    dispatcher.worker_up(kWorker, spec_of(30ms, 60ms), kStart);
    occupy(dispatcher);
    // Two rows together take 60 ms after the 60 ms that it computes.
    CHECK(dispatcher.submit(request_of(2), kStart) == Admission::kPredictedMiss);
    Request expired = request_of(3);
    expired.deadline = kStart;
    CHECK(dispatcher.submit(expired, kStart) == Admission::kExpired);
  }
}

TEST_CASE("a head that its worker would answer late is given up when a function can just take it") {
  Dispatcher dispatcher(params_of(kFunction));
  dispatcher.worker_up(kWorker, spec_of(15ms, 30ms), kStart);
  occupy(dispatcher);
  // Due at 30 ms, and not back at 60 ms: taken to need 30 ms more, and then 15 ms for the head.
  CHECK(dispatcher.next_wakeup() == at(60ms));
  CHECK(dispatcher.poll(at(60ms) - 1ns).drops.empty());
  CHECK(dispatcher.next_wakeup() == at(60ms));
  const Decisions decisions = dispatcher.poll(at(60ms));
  CHECK(slots_of(decisions.drops) == std::vector<std::uint32_t>{1});
  CHECK(decisions.drops[0].outcome == Outcome::kPredictedMiss);
  CHECK_FALSE(dispatcher.next_wakeup().has_value());
}

TEST_CASE("without a function it waits until no worker could finish it") {
  Dispatcher dispatcher(params_of(0ms));
  dispatcher.worker_up(kWorker, spec_of(15ms, 30ms), kStart);
  occupy(dispatcher);
  CHECK(dispatcher.next_wakeup() == at(85ms) + 1ns);
  CHECK(dispatcher.poll(at(85ms)).drops.empty());
  CHECK(slots_of(dispatcher.poll(at(85ms) + 1ns).drops) == std::vector<std::uint32_t>{1});
}

TEST_CASE("a head that its worker is predicted to answer in time stays") {
  Dispatcher dispatcher(params_of(kFunction));
  dispatcher.worker_up(kWorker, spec_of(35ms, 65ms), kStart);
  const BatchId batch = occupy(dispatcher);
  const Decisions decisions = dispatcher.poll(at(60ms));  // 5 ms more, and 35 ms: just in time
  CHECK(decisions.drops.empty());
  CHECK(dispatcher.next_wakeup() == at(65ms) + 1ns);
  dispatcher.complete(batch, at(65ms));
  CHECK(dispatcher.poll(at(65ms)).dispatches.size() == 1);
}

TEST_CASE("a head whose last worker drains or goes waits for another, until a function can just take it") {
  for (const bool goes : {false, true}) {
    CAPTURE(goes);
    Dispatcher dispatcher(params_of(kFunction));
    dispatcher.worker_up(kWorker, spec_of(30ms, 60ms), kStart);
    occupy(dispatcher);
    if (goes) {
      CHECK(dispatcher.worker_down(kWorker, at(10ms)).empty());  // its batch is queued again
    } else {
      dispatcher.worker_drain(kWorker);
    }
    CHECK(dispatcher.next_wakeup() == at(60ms));
    CHECK(dispatcher.poll(at(60ms) - 1ns).drops.empty());
    CHECK(dispatcher.poll(at(60ms)).drops.size() == (goes ? 2 : 1));
  }
}

TEST_CASE("a head that no function can take any more is left to its worker, as without one") {
  for (const DurationNs burst_latency : {0ms, 40ms, 150ms}) {
    CAPTURE(burst_latency.count());
    Dispatcher dispatcher(params_of(burst_latency));
    dispatcher.worker_up(kWorker, spec_of(20ms, 75ms), kStart);
    const BatchId batch = occupy(dispatcher);
    CHECK(dispatcher.poll(at(60ms)).drops.empty());  // 15 ms more, and 20 ms: in time
    CHECK(dispatcher.next_wakeup() == at(80ms) + 1ns);
    // Its worker is 3 ms late, and so taken to need as long again: the head would not be answered in time. To give it
    // up now would help nobody.
    CHECK(dispatcher.poll(at(78ms)).drops.empty());
    dispatcher.complete(batch, at(79ms));
    const Decisions decisions = dispatcher.poll(at(79ms));
    REQUIRE(decisions.dispatches.size() == 1);
    CHECK(dispatcher.complete(decisions.dispatches[0].batch, at(99ms)).size() == 1);
    CHECK(dispatcher.statistics().ended[static_cast<std::size_t>(Outcome::kAnswered)] == 2);
  }
}

TEST_CASE("the function is called on by the margin before it is too late, and a driver may be late by that") {
  for (const DurationNs late : std::vector<DurationNs>{0ms, 5ms, 5ms + 1ns}) {
    CAPTURE(late.count());
    DispatcherParams params = params_of(kFunction);
    params.margin = 5ms;
    Dispatcher dispatcher(params);
    dispatcher.worker_up(kWorker, spec_of(25ms, 30ms), kStart);
    occupy(dispatcher);
    REQUIRE(dispatcher.next_wakeup() == at(55ms));
    CHECK(dispatcher.poll(at(55ms) - 1ns).drops.empty());
    CHECK(dispatcher.poll(at(55ms) + late).drops.size() == (late <= 5ms ? 1 : 0));
  }
}

TEST_CASE("a head that its worker is found to answer late within the margin is given up at the last instant") {
  for (const DurationNs beyond : {0ns, 1ns}) {
    DispatcherParams params = params_of(kFunction);
    params.margin = 5ms;
    Dispatcher dispatcher(params);
    dispatcher.worker_up(kWorker, spec_of(30ms + beyond, 50ms), kStart);
    occupy(dispatcher);
    CHECK(dispatcher.poll(at(55ms)).drops.empty());  // 5 ms late, so 5 ms more, and 30 ms: in time
    CHECK(dispatcher.next_wakeup() == at(57ms) + 500us);
    CHECK(dispatcher.poll(at(57ms) + 500us).drops.empty());
    CHECK(dispatcher.next_wakeup() == at(60ms));
    CHECK(dispatcher.poll(at(60ms)).drops.size() == (beyond > 0ns ? 1 : 0));
  }
}

TEST_CASE("a head that is found late half a margin before the last instant goes then, so that a driver may be late") {
  DispatcherParams params = params_of(kFunction);
  params.margin = 20ms;
  Dispatcher dispatcher(params);
  dispatcher.worker_up(kWorker, spec_of(25ms, 30ms), kStart);
  occupy(dispatcher);
  REQUIRE(dispatcher.next_wakeup() == at(40ms));
  CHECK(dispatcher.poll(at(40ms)).drops.empty());  // 10 ms late, so 10 ms more, and 25 ms: in time
  REQUIRE(dispatcher.next_wakeup() == at(50ms));
  CHECK(dispatcher.poll(at(50ms) + 10ms).drops.size() == 1);  // 30 ms late
}

TEST_CASE("where no function answers in time either, the door is as without one") {
  Dispatcher slow(params_of(kRtMax + 1ns));
  CHECK(slow.submit(request_of(0), kStart) == Admission::kAccepted);
  Dispatcher dispatcher(params_of(kFunction));
  CHECK(dispatcher.submit(request_of(0), at(60ms)) == Admission::kPredictedMiss);
  CHECK(dispatcher.submit(request_of(0), at(60ms) + 1ns) == Admission::kAccepted);
}

TEST_CASE("a negative latency of the function makes no sense") {
  CHECK_THROWS_AS(Dispatcher(params_of(-1ns)), std::invalid_argument);
}

}  // namespace
}  // namespace mark
