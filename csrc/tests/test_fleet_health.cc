// Slow and sick workers in virtual time: who gets how much, who is sent nothing, and how it comes back.
#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <vector>

#include "mark/dispatcher.h"
#include "simulation_cases.h"

namespace mark {
namespace {

using namespace simulation_cases;

constexpr DurationNs kRtMax = 100ms;

WorkerId worker_id(int number) { return WorkerId{static_cast<std::uint32_t>(number)}; }

// Four workers that serve about 340 rows per second each.
Simulation fleet_of_four(double rate_per_s, bool corrects = true) {
  DispatcherParams params = dispatcher_of(kRtMax, 8);
  params.corrects = corrects;
  params.margin = 2ms;
  Simulation simulation(params, {.seed = 3, .service_variation = 0.1, .bin = 1s}, {});
  for (int worker = 1; worker <= 4; ++worker) {
    simulation.worker_up(worker_id(worker), worker_of(8ms, 2ms));
  }
  offer_rate(simulation, rate_per_s, 600s);
  return simulation;
}

WorkerStatistics of(const Simulation& simulation, int worker) {
  const std::vector<WorkerStatistics> all = simulation.statistics().workers;
  return *std::find_if(all.begin(), all.end(),
                       [&](const WorkerStatistics& each) { return each.worker == worker_id(worker); });
}

// Share answered in time of what arrived in [from, to), whole seconds.
double attainment(const Simulation& simulation, std::size_t from, std::size_t to) {
  double offered = 0;
  double in_time = 0;
  for (std::size_t bin = from; bin < to; ++bin) {
    offered += static_cast<double>(simulation.tally().offered_by_bin()[bin]);
    in_time += static_cast<double>(simulation.tally().in_time_by_bin()[bin]);
  }
  return in_time / offered;
}

TEST_CASE("workers that do as measured are left alone") {
  Simulation simulation = fleet_of_four(900);
  simulation.run_until(at(120s));
  for (int worker = 1; worker <= 4; ++worker) {
    CHECK(of(simulation, worker).correction == doctest::Approx(1.0).epsilon(0.25));
    CHECK_FALSE(of(simulation, worker).ejected);
  }
  CHECK(simulation.statistics().ejections == 0);
  CHECK(attainment(simulation, 0, 119) > 0.99);
}

TEST_CASE("a worker twice as slow gets less, and the promise is kept") {
  Simulation simulation = fleet_of_four(500);
  simulation.worker_slowdown(worker_id(1), 2);
  simulation.run_until(at(60s));
  CHECK(of(simulation, 1).correction > 1.6);
  CHECK_FALSE(of(simulation, 1).ejected);
  CHECK(of(simulation, 1).batches < of(simulation, 2).batches);
  CHECK(attainment(simulation, 10, 59) > 0.99);
}

TEST_CASE("one of four workers made five times slower is ejected, and let in again when it has recovered") {
  Simulation simulation = fleet_of_four(500);
  simulation.run_until(at(20s));
  simulation.worker_slowdown(worker_id(1), 5);
  simulation.run_until(at(60s));
  CHECK(of(simulation, 1).ejected);
  CHECK(simulation.statistics().probes > 1);
  CHECK(attainment(simulation, 23, 59) > 0.98);

  simulation.worker_slowdown(worker_id(1), 1);
  simulation.run_until(at(100s));
  CHECK_FALSE(of(simulation, 1).ejected);
  CHECK(of(simulation, 1).correction < 1.5);
  CHECK(attainment(simulation, 60, 99) > 0.99);
}

TEST_CASE("without correction the same worker costs requests for as long as it is slow") {
  Simulation corrected = fleet_of_four(800);
  Simulation fixed = fleet_of_four(800, false);
  for (Simulation* simulation : {&corrected, &fixed}) {
    simulation->worker_slowdown(worker_id(1), 5);
    simulation->run_until(at(60s));
  }
  CHECK(attainment(fixed, 10, 59) < attainment(corrected, 10, 59));
  CHECK(of(fixed, 1).correction == 1.0);
}

TEST_CASE("at most a third of the workers are ejected") {
  Simulation simulation = fleet_of_four(300);
  simulation.run_until(at(10s));
  simulation.worker_slowdown(worker_id(1), 6);
  simulation.worker_slowdown(worker_id(2), 6);
  simulation.run_until(at(60s));
  CHECK(of(simulation, 1).ejected + of(simulation, 2).ejected == 1);
  CHECK_FALSE(of(simulation, 3).ejected);
}

TEST_CASE("a lone worker is never ejected, and tried however slow it was") {
  Simulation simulation(dispatcher_of(kRtMax, 8), {.seed = 1, .bin = 1s}, {});
  simulation.worker_up(kFirst, worker_of(8ms, 2ms));
  offer_rate(simulation, 50, 600s);
  simulation.worker_slowdown(kFirst, 40);
  simulation.run_until(at(30s));
  CHECK_FALSE(of(simulation, 1).ejected);
  CHECK(of(simulation, 1).correction <= 10.0);
  simulation.worker_slowdown(kFirst, 1);
  simulation.run_until(at(120s));
  CHECK(attainment(simulation, 60, 119) > 0.99);
}

TEST_CASE("all workers of a class that are slow alike are corrected, not ejected") {
  Simulation simulation = fleet_of_four(200);
  for (int worker = 1; worker <= 4; ++worker) {
    simulation.worker_slowdown(worker_id(worker), 4);
  }
  simulation.run_until(at(60s));
  for (int worker = 1; worker <= 4; ++worker) {
    CHECK(of(simulation, worker).correction > 3);
  }
  CHECK(simulation.statistics().ejections <= 1);
}

// A dispatcher driven by hand: batches of one request, so that it is plain who gets what.
class ByHand {
 public:
  explicit ByHand(int workers) : dispatcher_({.rt_max = 1s, .rows_max = 1}) {
    for (int worker = 1; worker <= workers; ++worker) {
      dispatcher_.worker_up(worker_id(worker), {.profile = LatencyProfile{{{1, 10ms}}}, .rows_max = 1}, now_);
    }
  }

  // One request a worker, whose batches take 10 ms; those of the sick one fail.
  void round(WorkerId sick, std::uint32_t requests) {
    std::vector<Dispatch> sent;
    for (std::uint32_t i = 0; i < requests; ++i) {
      dispatcher_.submit({.id = RequestId::of(next_++, 1), .deadline = now_ + 1s}, now_);
    }
    for (Dispatch& dispatch : dispatcher_.poll(now_).dispatches) sent.push_back(std::move(dispatch));
    now_ += 10ms;
    for (const Dispatch& dispatch : sent) {
      probes_ += dispatch.probe ? 1 : 0;
      to_sick_ += dispatch.worker == sick && !dispatch.probe ? 1 : 0;
      if (dispatch.worker == sick) {
        CHECK(dispatcher_.fail(dispatch.batch, Failure::kModelError, now_).size() == (dispatch.probe ? 0 : 1));
      } else {
        CHECK(dispatcher_.complete(dispatch.batch, now_).size() == (dispatch.probe ? 0 : 1));
      }
    }
  }

  Dispatcher dispatcher_;
  TimeNs now_;
  std::uint32_t next_ = 0;
  int probes_ = 0;
  int to_sick_ = 0;
};

TEST_CASE("five errors in a row while another worker answers eject; probes go to nobody and back off") {
  ByHand fleet(2);
  for (int i = 0; i < 10; ++i) fleet.round(kFirst, 2);
  CHECK(fleet.to_sick_ == 5);
  CHECK(fleet.dispatcher_.statistics().ready_workers == 1);

  for (int i = 0; i < 700; ++i) fleet.round(kFirst, 1);
  CHECK(fleet.to_sick_ == 5);
  CHECK(fleet.probes_ == 3);  // after 1, 2 and 4 seconds; the next after 8

  const WorkerId nobody{99};
  for (int i = 0; i < 900; ++i) fleet.round(nobody, 1);
  CHECK(fleet.probes_ == 4);
  CHECK(fleet.dispatcher_.statistics().ready_workers == 2);
  CHECK(fleet.dispatcher_.statistics().in_flight_requests == 0);
}

TEST_CASE("where every batch fails no worker is ejected") {
  ByHand fleet(1);
  for (int i = 0; i < 20; ++i) fleet.round(kFirst, 1);
  CHECK(fleet.to_sick_ == 20);
  CHECK(fleet.dispatcher_.statistics().ejections == 0);
}

TEST_CASE("when the last healthy worker goes, the ejected one serves again") {
  for (const bool drains : {false, true}) {
    ByHand fleet(2);
    for (int i = 0; i < 5; ++i) fleet.round(kFirst, 2);
    REQUIRE(fleet.dispatcher_.statistics().ready_workers == 1);
    if (drains) {
      fleet.dispatcher_.worker_drain(kSecond);
    } else {
      fleet.dispatcher_.worker_down(kSecond, fleet.now_);
    }
    CHECK(fleet.dispatcher_.statistics().ready_workers == 1);
    fleet.round(WorkerId{99}, 1);
    CHECK(fleet.dispatcher_.statistics().ended[static_cast<std::size_t>(Outcome::kAnswered)] == 6);
  }
}

TEST_CASE("an ejected worker that goes down takes its place in the count with it") {
  ByHand fleet(3);
  for (int i = 0; i < 5; ++i) fleet.round(kFirst, 3);
  REQUIRE(fleet.dispatcher_.statistics().ejections == 1);
  CHECK(fleet.dispatcher_.worker_down(kFirst, fleet.now_).empty());
  for (int i = 0; i < 5; ++i) fleet.round(kSecond, 2);
  CHECK(fleet.dispatcher_.statistics().ejections == 2);
}

}  // namespace
}  // namespace mark
