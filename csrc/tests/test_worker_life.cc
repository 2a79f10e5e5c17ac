#include <doctest/doctest.h>

#include <chrono>

#include "mark/worker_life.h"

using mark::DurationNs;
using mark::WorkerLife;
using std::chrono::milliseconds;
using std::chrono::seconds;

TEST_CASE("a batch is waited for longer than it is predicted to take, and than the SLO allows") {
  CHECK(WorkerLife::timeout(milliseconds(300), milliseconds(100)) == milliseconds(2300));
  CHECK(WorkerLife::timeout(milliseconds(-5), milliseconds(100)) == milliseconds(2100));
}

TEST_CASE("the first batch of a life that is lost takes the worker down, the others of that life do not") {
  WorkerLife worker;
  CHECK_FALSE(worker.down());
  worker.up();
  const auto life = worker.life();
  CHECK(worker.lost(life, false));
  CHECK(worker.down());
  CHECK_FALSE(worker.is_up());
  CHECK_FALSE(worker.lost(life, true));
  CHECK_FALSE(worker.is_hung());

  worker.up();
  CHECK_FALSE(worker.lost(life, true));
  CHECK(worker.left_alone() == DurationNs::zero());
  CHECK(worker.lost(worker.life(), true));
}

TEST_CASE("a worker hangs that lets two batches in a row run out of time") {
  WorkerLife worker;
  worker.up();
  CHECK(worker.lost(worker.life(), true));
  CHECK_FALSE(worker.is_hung());
  CHECK(worker.left_alone() == seconds(1));
  worker.down();
  worker.up();
  SUBCASE("and nothing in between") {
    CHECK(worker.lost(worker.life(), true));
    CHECK(worker.is_hung());
    CHECK(worker.left_alone() == seconds(2));
  }
  SUBCASE("an answer in between says that it works") {
    worker.answered();
    CHECK(worker.left_alone() == DurationNs::zero());
    CHECK(worker.lost(worker.life(), true));
    CHECK_FALSE(worker.is_hung());
  }
  SUBCASE("a loss that is no hang says that it is another process now") {
    CHECK(worker.lost(worker.life(), false));
    CHECK_FALSE(worker.is_hung());
    CHECK(worker.left_alone() == DurationNs::zero());
  }
}

TEST_CASE("a worker that hangs for ever is asked once in half a minute") {
  WorkerLife worker;
  for (int i = 0; i < 1000; ++i) {
    worker.up();
    worker.lost(worker.life(), true);
    worker.down();
  }
  CHECK(worker.left_alone() == seconds(30));
}

TEST_CASE("a worker that is not ready is asked soon, and then less and less often") {
  mark::ProbePauses pauses;
  CHECK(pauses.next() == milliseconds(50));
  CHECK(pauses.next() == milliseconds(100));
  for (int i = 0; i < 10; ++i) pauses.next();
  CHECK(pauses.next() == seconds(1));
  pauses.restart();
  CHECK(pauses.next() == milliseconds(50));
}
