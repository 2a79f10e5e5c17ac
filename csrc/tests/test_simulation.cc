#include <doctest/doctest.h>

#include <chrono>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <stdexcept>
#include <vector>

#include "mark/simulation/simulation.h"
#include "simulation_cases.h"

namespace mark {
namespace {

using namespace simulation_cases;  // NOLINT(google-build-using-namespace)

TEST_CASE("an M/D/1 queue at half its capacity waits as long as Pollaczek and Khinchine say") {
  // Half a service time on average: rho / (2 (1 - rho)).
  Simulation simulation(dispatcher_of(10s, 1, false), {.seed = 1}, std::nullopt);
  simulation.worker_up(kFirst, worker_of(0ms, 1ms, 1));
  offer_rate(simulation, 500, 160s);
  simulation.run_until(at(200s));
  CHECK(simulation.tally().offered() == doctest::Approx(80'000).epsilon(0.02));
  CHECK(ended(simulation, Ending::kInstance) == simulation.tally().offered());
  CHECK(mean_latency_s(simulation) == doctest::Approx(1.5e-3).epsilon(0.02));
}

TEST_CASE("99 % of batches take no longer than the profile, and on average less by what a lognormal p99 is above") {
  constexpr double kVariation = 0.1;
  constexpr int kBatches = 10'000;
  // Far apart, and with the profile's p99 as their deadline.
  Simulation simulation(dispatcher_of(100ms, 1, false), {.seed = 2, .service_variation = kVariation}, std::nullopt);
  simulation.worker_up(kFirst, worker_of(0ms, 100ms, 1));
  Instants instants;
  for (int i = 1; i <= kBatches; ++i) {
    instants.push_back((i * DurationNs{1s}).count());
  }
  simulation.arrivals().offer_instants(instants);
  simulation.run_until(at((kBatches + 1) * DurationNs{1s}));
  CHECK(all_ended(simulation) == kBatches);
  CHECK(ended(simulation, Ending::kLate) == doctest::Approx(0.01 * kBatches).epsilon(0.25));
  const double mean = 0.1 * std::exp(-2.3263 * kVariation + kVariation * kVariation / 2);
  CHECK(mean_latency_s(simulation) == doctest::Approx(mean).epsilon(0.005));
}

TEST_CASE("a worker that is slower than its profile takes so many times as long") {
  Simulation simulation(dispatcher_of(1s, 1), {}, std::nullopt);
  SimulatedWorker slow = worker_of(0ms, 100ms, 1);
  slow.slowdown = 2.5;
  simulation.worker_up(kFirst, slow);
  simulation.arrivals().offer_instants(Instants{0});
  simulation.run_until(at(1s));
  CHECK(simulation.tally().latency().sum() == 250ms);
}

struct Run {
  std::vector<Batch> batches;
  std::vector<std::uint64_t> offered_by_bin;
};

Run run_with(std::uint64_t seed, double variation) {
  Simulation simulation(dispatcher_of(100ms, 8),
                        {.seed = seed, .service_variation = variation, .bin = 100ms, .keeps_batches = true},
                        functions_of(40ms, 100));
  simulation.worker_up(kFirst, worker_of(8ms, 1ms));
  simulation.worker_up(kSecond, worker_of(10ms, 1ms));
  offer_rate(simulation, 800, 2s);
  simulation.run_until(at(3s));
  return {batches_of(simulation), simulation.tally().offered_by_bin()};
}

TEST_CASE("the same seed gives the same run, another seed another") {
  const Run run = run_with(4, 0.2);
  CHECK(run_with(4, 0.2).batches == run.batches);
  CHECK(run_with(5, 0.2).batches != run.batches);
  CHECK(run_with(5, 0.2).offered_by_bin != run.offered_by_bin);
  // Who serves otherwise sees the same arrivals.
  CHECK(run_with(4, 0.1).batches != run.batches);
  CHECK(run_with(4, 0.1).offered_by_bin == run.offered_by_bin);
}

TEST_CASE("functions take what arrives while no worker is up") {
  FunctionPoolParams functions = functions_of(40ms, 100);
  functions.price.usd_per_request = 1;
  Simulation simulation(dispatcher_of(100ms, 8), {.bin = 1s}, functions);
  simulation.arrivals().offer_instants(Instants{0, 1, 2, 1'500'000'000});
  simulation.run_until(at(2s));
  CHECK(ended(simulation, Ending::kServerless) == 4);
  CHECK(simulation.tally().burst_by_bin() == std::vector<std::uint64_t>{3, 1});
  CHECK(simulation.tally().latency().sum() == 160ms);
  CHECK(simulation.functions()->cold_starts() == 3);  // the fourth finds a warm one
  CHECK(simulation.functions()->usd(simulation.now()) == 4);
}

TEST_CASE("functions take what a worker is found to answer late, while they still can") {
  Simulation simulation(dispatcher_of(100ms, 1), {.bin = 50ms}, functions_of(40ms, 100));
  SimulatedWorker hanging = worker_of(0ms, 20ms, 1);
  hanging.slowdown = 100;
  simulation.worker_up(kFirst, hanging);
  simulation.arrivals().offer_instants(Instants{0, 1'000'000, 2'000'000});
  simulation.run_until(at(3s));
  CHECK(ended(simulation, Ending::kLate) == 1);        // what it had begun
  CHECK(ended(simulation, Ending::kServerless) == 2);  // what waited behind
  CHECK(simulation.tally().latency().sum() == 2s + 2 * 100ms);
  CHECK(simulation.tally().burst_by_bin() == std::vector<std::uint64_t>{2});  // where they arrived, though sent later
}

TEST_CASE("what the cloud throttles, or its limit keeps out, is refused, and each function that ends makes room") {
  FunctionPoolParams throttled = functions_of(40ms, 100);
  throttled.cold_starts_burst = 2;
  for (const FunctionPoolParams& functions : {throttled, functions_of(40ms, 2)}) {
    Simulation simulation(dispatcher_of(100ms, 8), {}, functions);
    simulation.arrivals().offer_instants(Instants{0, 0, 0, 0, 50'000'000, 50'000'000, 50'000'000});
    simulation.run_until(at(1s));
    CHECK(ended(simulation, Ending::kServerless) == 4);  // two at a time
    CHECK(ended(simulation, Ending::kRefused) == 3);
    CHECK(simulation.tally().burst_by_bin() == std::vector<std::uint64_t>{4});
  }
}

TEST_CASE("a cold function may be late, and is billed for its start") {
  FunctionPoolParams functions = functions_of(40ms, 100);
  functions.cold_start = 1s;
  functions.price.usd_per_s = 1;
  Simulation simulation(dispatcher_of(100ms, 8), {}, functions);
  simulation.arrivals().offer_instants(Instants{0, 2'000'000'000});
  simulation.run_until(at(3s));
  CHECK(ended(simulation, Ending::kLate) == 1);
  CHECK(ended(simulation, Ending::kServerless) == 1);
  CHECK(simulation.functions()->usd(simulation.now()) == doctest::Approx(1.08));
}

TEST_CASE("a worker that goes with its batch: its requests are tried again elsewhere, and counted once") {
  Simulation simulation(dispatcher_of(100ms, 8), {.keeps_batches = true}, std::nullopt);
  simulation.worker_up(kFirst, worker_of(20ms, 0ms));
  simulation.arrivals().offer_instants(Instants{0});
  simulation.run_until(at(10ms));
  REQUIRE(simulation.worker_busy(kFirst));
  simulation.worker_up(kSecond, worker_of(20ms, 0ms));
  simulation.worker_down(kFirst);
  simulation.run_until(at(1s));
  CHECK(ended(simulation, Ending::kInstance) == 1);
  CHECK(all_ended(simulation) == 1);
  CHECK(simulation.tally().latency().sum() == 30ms);
  CHECK(simulation.batches().size() == 2);
  CHECK(simulation.statistics().retried_requests == 1);
}

TEST_CASE("a worker that comes back under its old name is not answered for by its old batch") {
  Simulation simulation(dispatcher_of(100ms, 8), {}, std::nullopt);
  simulation.worker_up(kFirst, worker_of(20ms, 0ms));
  simulation.arrivals().offer_instants(Instants{0});
  simulation.run_until(at(10ms));
  simulation.worker_down(kFirst);
  simulation.worker_up(kFirst, worker_of(50ms, 0ms));
  simulation.run_until(at(25ms));
  CHECK(all_ended(simulation) == 0);
  simulation.run_until(at(1s));
  CHECK(simulation.tally().latency().sum() == 60ms);
}

TEST_CASE("a request that loses its second worker goes to a function in time, or is refused; once") {
  for (const bool with_functions : {true, false}) {
    CAPTURE(with_functions);
    Simulation simulation(dispatcher_of(100ms, 8), {},
                          with_functions ? std::optional{functions_of(40ms, 10)} : std::nullopt);
    simulation.worker_up(kFirst, worker_of(50ms, 0ms));
    simulation.arrivals().offer_instants(Instants{0});
    simulation.run_until(at(10ms));
    simulation.worker_up(kSecond, worker_of(50ms, 0ms));
    simulation.worker_down(kFirst);
    simulation.run_until(at(20ms));
    simulation.worker_down(kSecond);
    simulation.run_until(at(1s));
    CHECK(ended(simulation, Ending::kServerless) == (with_functions ? 1 : 0));
    CHECK(ended(simulation, Ending::kRefused) == (with_functions ? 0 : 1));
    CHECK(all_ended(simulation) == 1);
  }
}

TEST_CASE("a burstable worker slows down when its credits end, and an unlimited one is billed") {
  for (const bool unlimited : {false, true}) {
    CAPTURE(unlimited);
    Simulation simulation(dispatcher_of(10s, 1), {}, std::nullopt);
    SimulatedWorker burstable = worker_of(0ms, 1s, 1);
    burstable.credits = {.baseline_share = 0.5, .credits_s = 1, .credits_max_s = 2, .unlimited = unlimited};
    simulation.worker_up(kFirst, burstable);
    simulation.worker_up(kSecond, worker_of(0ms, 1min, 1));  // has none, and nothing to do
    simulation.arrivals().offer_instants(Instants{0, 0, 0});
    simulation.run_until(at(1s) + 1ns);
    CHECK(simulation.credits_s(kFirst) == doctest::Approx(0));  // the second one is on its way
    simulation.run_until(at(6s));
    // Two at full speed, the third at half of it.
    CHECK(seconds(simulation.tally().latency().sum()) == doctest::Approx(1 + 2 + (unlimited ? 3 : 4)));
    CHECK(simulation.surplus_s(kFirst) == doctest::Approx(unlimited ? 0.5 : 0));
    CHECK(simulation.credits_s(kFirst) == doctest::Approx(unlimited ? 1.5 : 1));
    CHECK(simulation.credits_s(kSecond) == 0);
    CHECK(simulation.surplus_s(kSecond) == 0);
  }
}

TEST_CASE("a worker with two batches in flight computes them one after the other") {
  Simulation simulation(dispatcher_of(1s, 1), {.keeps_batches = true}, std::nullopt);
  SimulatedWorker pipelined = worker_of(0ms, 10ms, 1);
  pipelined.spec.batches_in_flight_max = 2;
  simulation.worker_up(kFirst, pipelined);
  simulation.arrivals().offer_instants(Instants{0, 0, 0});
  simulation.run_until(at(1s));
  CHECK(simulation.tally().latency().sum() == 10ms + 20ms + 30ms);
  REQUIRE(simulation.batches().size() == 3);
  CHECK(simulation.batches()[1].launched == at(0ms));
  CHECK(simulation.batches()[2].launched == at(10ms));
}

TEST_CASE("a run may stop after so many events, and goes on where it stopped") {
  const auto run = [](std::int64_t events_max) {
    Simulation simulation(dispatcher_of(100ms, 8), {.seed = 4}, std::nullopt);
    simulation.worker_up(kFirst, worker_of(10ms, 5ms));
    offer_rate(simulation, 150, 2s);
    int pieces = 1;
    while (!simulation.run_until(at(3s), events_max)) {
      CHECK(simulation.now() < at(3s));
      ++pieces;
    }
    CHECK(simulation.now() == at(3s));
    return std::pair{pieces, simulation.tally().latency().sum()};
  };
  const auto [pieces, latency] = run(50);
  CHECK(pieces > 5);
  CHECK(run(1'000'000) == std::pair{1, latency});
}

TEST_CASE("events at the end of a run belong to the next") {
  Simulation simulation(dispatcher_of(100ms, 8), {.keeps_batches = true}, std::nullopt);
  simulation.worker_up(kFirst, worker_of(20ms, 0ms));
  simulation.arrivals().offer_instants(Instants{10'000'000});
  simulation.run_until(at(10ms));
  CHECK(simulation.arrived() == 0);
  CHECK(simulation.now() == at(10ms));
  simulation.run_until(at(30ms));
  CHECK(simulation.arrived() == 1);
  CHECK(all_ended(simulation) == 0);
  simulation.run_until(at(30ms) + 1ns);
  CHECK(all_ended(simulation) == 1);
}

TEST_CASE("a drained worker's batch comes back, and takes nothing more with it") {
  Simulation simulation(dispatcher_of(100ms, 8), {}, std::nullopt);
  simulation.worker_up(kFirst, worker_of(20ms, 0ms));
  simulation.arrivals().offer_instants(Instants{0, 15'000'000});
  simulation.run_until(at(10ms));
  simulation.worker_drain(kFirst);
  simulation.run_until(at(1s));
  CHECK_FALSE(simulation.worker_busy(kFirst));
  CHECK(ended(simulation, Ending::kInstance) == 1);
  CHECK(ended(simulation, Ending::kRefused) == 1);  // it waited for a worker, until its deadline
}

TEST_CASE("what arrives at the instant of a drain is there before the dispatcher decides") {
  const auto batches_when = [](bool drains) {
    Simulation simulation(dispatcher_of(100ms, 8), {.keeps_batches = true}, std::nullopt);
    simulation.worker_up(kFirst, worker_of(20ms, 0ms));
    simulation.arrivals().offer_instants(Instants{0, 1'000'000, 11'000'000});
    simulation.run_until(at(1ms));
    simulation.worker_up(kSecond, worker_of(20ms, 0ms));
    simulation.run_until(at(11ms));  // until which the second worker waits for company of the second request
    if (drains) {
      simulation.worker_drain(kFirst);
    }
    simulation.run_until(at(1s));
    return batches_of(simulation);
  };
  REQUIRE(batches_when(false).size() == 2);
  CHECK(batches_when(false)[1].second == std::vector<std::uint64_t>{1, 2});
  CHECK(batches_when(true) == batches_when(false));
}

TEST_CASE("only what arrives from the beginning of the count on is counted") {
  Simulation simulation(dispatcher_of(100ms, 8), {.bin = 1s, .counted_from = at(2s)}, std::nullopt);
  simulation.worker_up(kFirst, worker_of(20ms, 0ms));
  offer_rate(simulation, 100, 4s);
  simulation.run_until(at(2s));
  CHECK(simulation.arrived() > 100);
  CHECK(simulation.tally().offered() == 0);
  CHECK(all_ended(simulation) == 0);
  const std::uint64_t before = simulation.arrived();
  simulation.run_until(at(5s));
  CHECK(simulation.tally().offered() == simulation.arrived() - before);
  CHECK(all_ended(simulation) == simulation.tally().offered());
  CHECK(simulation.tally().offered_by_bin().size() == 2);
}

TEST_CASE("what makes no sense is refused, and changes nothing") {
  const DispatcherParams dispatcher = dispatcher_of(100ms, 8);
  CHECK_THROWS_AS(Simulation(dispatcher, {.service_variation = 1}, std::nullopt), std::invalid_argument);
  CHECK_THROWS_AS(Simulation(dispatcher, {.service_variation = -0.1}, std::nullopt), std::invalid_argument);
  CHECK_THROWS_AS(Simulation(dispatcher, {.bin = 0ms}, std::nullopt), std::invalid_argument);
  CHECK_THROWS_AS(Simulation(dispatcher, {}, functions_of(0ms, 1)), std::invalid_argument);
  Simulation simulation(dispatcher, {}, std::nullopt);
  simulation.run_until(at(1s));
  CHECK_THROWS_AS(simulation.run_until(at(1s) - 1ns), std::invalid_argument);
  for (const double slowdown : {0.0, -1.0, std::numeric_limits<double>::infinity()}) {
    SimulatedWorker worker = worker_of(20ms, 0ms);
    worker.slowdown = slowdown;
    CHECK_THROWS_AS(simulation.worker_up(kFirst, worker), std::invalid_argument);
  }
  simulation.worker_up(kFirst, worker_of(20ms, 0ms));
  CHECK_THROWS_AS(simulation.worker_up(kFirst, worker_of(20ms, 0ms)), std::invalid_argument);
  simulation.worker_down(kSecond);  // unknown ones are ignored, as by the dispatcher
  simulation.worker_drain(kSecond);
  CHECK(simulation.functions() == nullptr);
}

}  // namespace
}  // namespace mark
