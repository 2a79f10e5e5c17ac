// Shedding the lowest priority: how many, how evenly, and that nobody else is touched.
#include <doctest/doctest.h>

#include <chrono>
#include <cstdint>
#include <limits>
#include <stdexcept>

#include "mark/concurrent_dispatcher.h"
#include "mark/dispatcher.h"
#include "mark/shedding.h"

namespace mark {
namespace {

using namespace std::chrono_literals;

TEST_CASE("of any requests in a row the share is refused, give or take one") {
  for (const double share : {0.0, 0.1, 1.0 / 3, 0.5, 0.9, 1.0}) {
    Shedding shedding;
    shedding.share(share);
    double refused = 0;
    for (int asked = 1; asked <= 3000; ++asked) {
      refused += shedding.refuses_next() ? 1 : 0;
      CHECK(refused <= share * asked + 1e-6);
      CHECK(refused >= share * asked - 1);
    }
  }
}

TEST_CASE("once it is over nothing is owed, and nonsense is refused") {
  Shedding shedding;
  shedding.share(0.9);
  CHECK_FALSE(shedding.refuses_next());
  shedding.share(0);
  shedding.share(0.2);
  for (int i = 0; i < 4; ++i) CHECK_FALSE(shedding.refuses_next());
  CHECK(shedding.refuses_next());
  for (const double share : {-0.1, 1.1, std::numeric_limits<double>::quiet_NaN()}) {
    CHECK_THROWS_AS(shedding.share(share), std::invalid_argument);
  }
}

struct Door {
  Dispatcher dispatcher{{.rt_max = 100ms, .rows_max = 4, .priority_levels = 3, .priority_default = 3}};
  std::uint32_t next = 0;

  Admission submit(int priority, int rows = 1) {
    return dispatcher.submit(
        {.id = RequestId::of(next++, 1), .rows = rows, .deadline = TimeNs{} + 100ms, .shape = 0, .priority = priority},
        TimeNs{});
  }
};

TEST_CASE_FIXTURE(Door, "only the lowest priority is shed, is offered load all the same, and ends as shed") {
  dispatcher.shed(1.0);
  CHECK(submit(1) == Admission::kAccepted);
  CHECK(submit(2) == Admission::kAccepted);
  CHECK(submit(3, 2) == Admission::kShed);
  dispatcher.shed(0.0);
  CHECK(submit(3) == Admission::kAccepted);

  const Statistics statistics = dispatcher.statistics();
  CHECK(statistics.submitted_rows == 5);
  CHECK(statistics.submitted_rows_lowest == 3);
  CHECK(statistics.admitted_requests == 3);
  CHECK(statistics.ended[static_cast<std::size_t>(Outcome::kShed)] == 1);
  CHECK(statistics.attainment() == 0.0);  // it counts against the promise
  CHECK(outcome_of(Admission::kShed) == Outcome::kShed);
}

TEST_CASE_FIXTURE(Door, "what was queued before stays, and a retune changes nothing of it") {
  CHECK(submit(3) == Admission::kAccepted);
  dispatcher.shed(1.0);
  dispatcher.retune({.rt_max = 100ms, .rows_max = 4, .priority_levels = 3, .priority_default = 3}, TimeNs{});
  CHECK(dispatcher.statistics().queued_requests == 1);
  CHECK(submit(3) == Admission::kShed);
}

TEST_CASE("a dispatcher for threads sheds, too") {
  ConcurrentDispatcher dispatcher{{.rt_max = 100ms, .priority_levels = 2, .priority_default = 2}};
  dispatcher.shed(1.0);
  CHECK(dispatcher.submit({.id = RequestId::of(0, 1), .deadline = TimeNs{} + 100ms, .shape = 0, .priority = 2},
                          TimeNs{}) == Admission::kShed);
}

}  // namespace
}  // namespace mark
