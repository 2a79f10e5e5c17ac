// Priorities through the dispatcher: who is served first, who is let in, and that nobody is forgotten.
#include <doctest/doctest.h>

#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "mark/dispatcher.h"

namespace mark {
namespace {

using namespace std::chrono_literals;

constexpr WorkerId kWorker{1};

// One worker that takes 10 ms for up to four rows, with a batch in flight from the start.
struct BusyWorker {
  Dispatcher dispatcher{{.rt_max = 100ms, .rows_max = 4, .priority_levels = 3, .priority_default = 2}};
  TimeNs now;
  std::uint32_t next = 0;
  BatchId batch;

  BusyWorker() {
    dispatcher.worker_up(kWorker, {.profile = LatencyProfile{{{1, 10ms}, {4, 10ms}}}, .rows_max = 4}, now);
    CHECK(submit(2, 100ms) == Admission::kAccepted);
    batch = serve().front().batch;
  }

  Admission submit(int priority, DurationNs within) {
    return dispatcher.submit(
        {.id = RequestId::of(next++, 1), .deadline = now + within, .shape = 0, .priority = priority}, now);
  }
  std::vector<Dispatch> serve() { return dispatcher.poll(now).dispatches; }
  std::vector<std::uint32_t> next_batch() {
    now += 10ms;
    dispatcher.complete(batch, now);
    std::vector<std::uint32_t> slots;
    for (const Dispatch& dispatch : serve()) {
      batch = dispatch.batch;
      for (const RequestId id : dispatch.requests) slots.push_back(id.slot());
    }
    return slots;
  }
};

TEST_CASE_FIXTURE(BusyWorker, "higher priorities are served first, in deadline order within one") {
  for (int i = 0; i < 3; ++i) CHECK(submit(2, 60ms) == Admission::kAccepted);  // 1, 2, 3
  CHECK(submit(3, 50ms) == Admission::kAccepted);                              // 4
  CHECK(submit(1, 90ms) == Admission::kAccepted);                              // 5
  CHECK(submit(1, 80ms) == Admission::kAccepted);                              // 6
  CHECK(next_batch() == std::vector<std::uint32_t>{6, 5, 1, 2});
  CHECK(next_batch() == std::vector<std::uint32_t>{3, 4});
}

TEST_CASE_FIXTURE(BusyWorker, "a request is let in that has to wait only for those that go before it") {
  while (submit(2, 100ms) == Admission::kAccepted) {
  }
  CHECK(submit(3, 100ms) == Admission::kPredictedMiss);
  CHECK(submit(2, 40ms) == Admission::kAccepted);  // due sooner than all that wait
  CHECK(submit(1, 40ms) == Admission::kAccepted);
  const std::vector<std::uint32_t> first = next_batch();
  REQUIRE(first.size() == 4);
  CHECK(first[0] == next - 1);
  CHECK(first[1] == next - 2);
}

TEST_CASE_FIXTURE(BusyWorker, "a low priority that is never served is given up at its time") {
  CHECK(submit(3, 30ms) == Admission::kAccepted);
  int drops = 0;
  for (int round = 0; round < 6; ++round) {
    for (int i = 0; i < 4; ++i) submit(1, 100ms);
    now += 10ms;
    dispatcher.complete(batch, now);
    const Decisions decisions = dispatcher.poll(now);
    REQUIRE(decisions.dispatches.size() == 1);
    batch = decisions.dispatches.front().batch;
    drops += static_cast<int>(decisions.drops.size());
  }
  CHECK(drops == 1);
  CHECK(dispatcher.statistics().queued_requests == 0);
}

TEST_CASE_FIXTURE(BusyWorker, "the next wake-up is for whichever priority is given up first") {
  CHECK(submit(1, 100ms) == Admission::kAccepted);
  CHECK(submit(3, 25ms) == Admission::kAccepted);
  CHECK(dispatcher.next_wakeup().value_or(TimeNs::max()) <= now + 25ms);
}

TEST_CASE("a lower priority that would be late in a large batch is left out of it") {
  const TimeNs now;
  Dispatcher steep{{.rt_max = 100ms, .rows_max = 4, .admission = false}};
  steep.worker_up(kWorker, {.profile = LatencyProfile{{{1, 10ms}, {4, 22ms}}}, .rows_max = 4}, now);
  const TimeNs soon = now + 15ms;
  for (std::uint32_t slot = 0; slot < 2; ++slot) {
    steep.submit({.id = RequestId::of(slot, 1), .deadline = now + 90ms, .shape = 0, .priority = 1}, now);
  }
  steep.submit({.id = RequestId::of(2, 1), .deadline = soon, .shape = 0, .priority = 2}, now);
  const Decisions decisions = steep.poll(now);
  REQUIRE(decisions.dispatches.size() == 1);
  CHECK(decisions.dispatches.front().requests.size() == 2);
  CHECK(decisions.dispatches.front().earliest_deadline == now + 90ms);
}

TEST_CASE("a priority that is no level is the caller's mistake") {
  CHECK_THROWS_AS(Dispatcher({.rt_max = 1s, .priority_levels = 0}), std::invalid_argument);
  CHECK_THROWS_AS(Dispatcher({.rt_max = 1s, .priority_levels = 17}), std::invalid_argument);
  CHECK_THROWS_AS(Dispatcher({.rt_max = 1s, .priority_levels = 2, .priority_default = 3}), std::invalid_argument);
  Dispatcher dispatcher{{.rt_max = 1s}};
  for (const int priority : {0, 3, -1}) {
    CHECK_THROWS_AS(
        dispatcher.submit({.id = RequestId::of(0, 1), .deadline = TimeNs{1s}, .shape = 0, .priority = priority}, {}),
        std::invalid_argument);
  }
}

}  // namespace
}  // namespace mark
