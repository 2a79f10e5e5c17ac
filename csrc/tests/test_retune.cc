// Parameters that change while requests wait and batches are in flight.
#include <doctest/doctest.h>

#include <chrono>
#include <cstdint>
#include <stdexcept>

#include "mark/dispatcher.h"

namespace mark {
namespace {

using namespace std::chrono_literals;

constexpr WorkerId kWorker{1};
DispatcherParams params_before() { return {.rt_max = 100ms, .rows_max = 4, .admission = false}; }

struct Tuned {
  Dispatcher dispatcher{params_before()};
  TimeNs now;
  std::uint32_t next = 0;

  Tuned() { dispatcher.worker_up(kWorker, {.profile = LatencyProfile{{{1, 10ms}, {4, 16ms}}}, .rows_max = 4}, now); }
  Admission submit(DurationNs within = 100ms) {
    return dispatcher.submit({.id = RequestId::of(next++, 1), .deadline = now + within, .shape = 0, .priority = 2},
                             now);
  }
  DispatcherParams with(auto change) const {
    DispatcherParams params = params_before();
    change(params);
    return params;
  }
};

TEST_CASE_FIXTURE(Tuned, "admission, bounds and margin hold from the change on, and what waits is served") {
  submit();
  const Decisions first = dispatcher.poll(now);
  REQUIRE(first.dispatches.size() == 1);
  for (int i = 0; i < 3; ++i) CHECK(submit() == Admission::kAccepted);
  CHECK(submit(15ms) == Admission::kAccepted);

  dispatcher.retune(with([](DispatcherParams& p) {
                      p.admission = true;
                      p.queue_requests_max = 4;
                      p.margin = 5ms;
                    }),
                    now);
  CHECK(submit() == Admission::kQueueFull);
  now += 10ms;
  CHECK(dispatcher.complete(first.dispatches.front().batch, now).size() == 1);
  const Decisions second = dispatcher.poll(now);
  CHECK(second.drops.size() == 1);  // 15 ms can no longer be kept
  REQUIRE(second.dispatches.size() == 1);
  CHECK(second.dispatches.front().requests.size() == 3);
  CHECK(submit(5ms) == Admission::kPredictedMiss);
}

TEST_CASE_FIXTURE(Tuned, "adaptive batches become fixed ones and single ones without a restart") {
  dispatcher.retune(with([](DispatcherParams& p) { p.fixed = FixedBatch{.rows = 4, .wait = 20ms}; }), now);
  submit();
  CHECK(dispatcher.poll(now).dispatches.empty());
  CHECK(dispatcher.next_wakeup() == now + 20ms);
  dispatcher.retune(with([](DispatcherParams& p) { p.fixed = FixedBatch{}; }), now);
  submit();
  const Decisions decisions = dispatcher.poll(now);
  REQUIRE(decisions.dispatches.size() == 1);
  CHECK(decisions.dispatches.front().requests.size() == 1);
}

TEST_CASE_FIXTURE(Tuned, "what was learned is forgotten where it is not to count") {
  for (int i = 0; i < 6; ++i) {
    submit(1s);
    const Decisions decisions = dispatcher.poll(now);
    REQUIRE(decisions.dispatches.size() == 1);
    now += 40ms;
    dispatcher.complete(decisions.dispatches.front().batch, now);
  }
  CHECK(dispatcher.statistics().workers.front().correction > 3);
  dispatcher.retune(with([](DispatcherParams& p) { p.corrects = false; }), now);
  CHECK(dispatcher.statistics().workers.front().correction == 1.0);
}

TEST_CASE_FIXTURE(Tuned, "what cannot change is refused, and nothing of the rest is changed") {
  const auto refused = [&](auto change) {
    CHECK_THROWS_AS(dispatcher.retune(with([&](DispatcherParams& p) {
                                        p.queue_requests_max = 1;
                                        change(p);
                                      }),
                                      now),
                    std::invalid_argument);
  };
  refused([](DispatcherParams& p) { p.rt_max = 200ms; });
  refused([](DispatcherParams& p) { p.rows_max = 2; });
  refused([](DispatcherParams& p) { p.priority_levels = 3; });
  refused([](DispatcherParams& p) { p.margin = 100ms; });
  CHECK(submit() == Admission::kAccepted);
  CHECK(submit() == Admission::kAccepted);
}

}  // namespace
}  // namespace mark
