#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <random>
#include <stdexcept>
#include <utility>
#include <vector>

#include "mark/simulation/simulation.h"

namespace mark {
namespace {

using namespace std::chrono_literals;

constexpr WorkerId kFirst{1};
constexpr WorkerId kSecond{2};

TimeNs at(DurationNs since_start) { return TimeNs{since_start}; }

DispatcherParams dispatcher_of(DurationNs rt_max, int rows_max, bool admission = true) {
  return {.rt_max = rt_max, .rows_max = rows_max, .queue_requests_max = 1 << 20, .admission = admission};
}

SimulatedWorker worker_of(DurationNs once, DurationNs each_row, int rows_max = 8) {
  return {.spec = {.profile = LatencyProfile{{{1, once + each_row}, {8, once + 8 * each_row}}}, .rows_max = rows_max},
          .credits = {}};
}

FunctionPoolParams functions_of(DurationNs latency, int concurrency_max) {
  FunctionPoolParams params;
  params.latency = latency;
  params.idle_max = 10min;
  params.concurrency_max = concurrency_max;
  params.cold_starts_burst = concurrency_max;
  params.cold_starts_per_s = 0;
  return params;
}

using Instants = std::vector<std::int64_t>;

Instants poisson(std::uint32_t seed, double rate_per_s, DurationNs duration) {
  std::mt19937_64 random(seed);
  std::exponential_distribution<double> gap_ns(rate_per_s / 1e9);
  Instants instants;
  for (TimeNs now; now < at(duration); now += DurationNs{static_cast<std::int64_t>(gap_ns(random))}) {
    instants.push_back(now.time_since_epoch().count());
  }
  return instants;
}

void offer_rate(Simulation& simulation, double rate_per_s, DurationNs until) {
  const std::int64_t end_ns = until.count();
  simulation.arrivals().offer_rates({&end_ns, 1}, {&rate_per_s, 1});
}

std::uint64_t ended(const Simulation& simulation, Ending ending) { return simulation.tally().ended(ending); }

std::uint64_t all_ended(const Simulation& simulation) {
  std::uint64_t sum = 0;
  for (const Ending ending : {Ending::kInstance, Ending::kServerless, Ending::kRefused, Ending::kLate}) {
    sum += ended(simulation, ending);
  }
  return sum;
}

double seconds(DurationNs duration) { return std::chrono::duration<double>(duration).count(); }

double mean_latency_s(const Simulation& simulation) {
  const LatencyHistogram& latency = simulation.tally().latency();
  return seconds(latency.sum()) / static_cast<double>(latency.count());
}

using Batch = std::pair<std::pair<TimeNs, WorkerId>, std::vector<std::uint64_t>>;

std::vector<Batch> batches_of(const Simulation& simulation) {
  std::vector<Batch> batches;
  for (const SimulatedBatch& batch : simulation.batches()) {
    batches.push_back({{batch.launched, batch.worker}, batch.requests});
  }
  return batches;
}

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

// The bare dispatcher at the same instants: what it says to send where.
class ByHand {
 public:
  ByHand(const DispatcherParams& params, const std::vector<SimulatedWorker>& workers)
      : rt_max_(params.rt_max), workers_(workers), dispatcher_(params) {
    for (std::uint32_t i = 0; i < workers.size(); ++i) {
      dispatcher_.worker_up(WorkerId{i + 1}, workers[i].spec, TimeNs{});
    }
  }

  // polls: when it is asked beside the instants at which it wants to be.
  std::vector<Batch> run(const Instants& arrivals, const Instants& polls) {
    auto arrival = arrivals.begin();
    auto extra = polls.begin();
    while (true) {
      const TimeNs arrival_at = arrival == arrivals.end() ? TimeNs::max() : at(DurationNs{*arrival});
      const TimeNs extra_at = extra == polls.end() ? TimeNs::max() : at(DurationNs{*extra});
      const TimeNs finish_at = finishes_.empty() ? TimeNs::max() : finishes_.begin()->first;
      const TimeNs wakeup_at = dispatcher_.next_wakeup().value_or(TimeNs::max());
      const TimeNs now = std::min({arrival_at, extra_at, finish_at, wakeup_at});
      if (now == TimeNs::max()) {
        return batches_;
      }
      if (finish_at == now) {
        dispatcher_.complete(finishes_.begin()->second, now);
        finishes_.erase(finishes_.begin());
      } else if (arrival_at == now) {
        const auto slot = static_cast<std::uint32_t>(arrival++ - arrivals.begin());
        dispatcher_.submit({.id = RequestId::of(slot, 1), .deadline = now + rt_max_}, now);
      } else {
        extra += extra_at == now ? 1 : 0;
        poll(now);
      }
    }
  }

 private:
  void poll(TimeNs now) {
    for (const Dispatch& dispatch : dispatcher_.poll(now).dispatches) {
      Batch& batch = batches_.emplace_back(std::pair{now, dispatch.worker}, std::vector<std::uint64_t>{});
      for (const RequestId request : dispatch.requests) {
        batch.second.push_back(request.slot());
      }
      const SimulatedWorker& worker = workers_[static_cast<std::size_t>(dispatch.worker) - 1];
      const DurationNs service = worker.spec.profile.predict(dispatch.rows);
      finishes_.emplace(now + service * static_cast<int>(worker.slowdown), dispatch.batch);
    }
  }

  DurationNs rt_max_;
  const std::vector<SimulatedWorker>& workers_;
  Dispatcher dispatcher_;
  std::multimap<TimeNs, BatchId> finishes_;
  std::vector<Batch> batches_;
};

TEST_CASE("batches are those of the bare dispatcher, driven by hand at the same instants") {
  const std::vector<SimulatedWorker> workers = {worker_of(8ms, 1ms), worker_of(3ms, 4ms, 4), worker_of(30ms, 200us)};
  for (const double rate : {50.0, 600.0, 3000.0}) {  // hardly any load, much, and too much
    for (const bool admission : {true, false}) {
      CAPTURE(rate);
      const DispatcherParams params = dispatcher_of(100ms, 8, admission);
      const Instants instants = poisson(3, rate, 1s);
      Simulation simulation(params, {.keeps_batches = true}, std::nullopt);
      for (std::uint32_t i = 0; i < workers.size(); ++i) {
        simulation.worker_up(WorkerId{i + 1}, workers[i]);
      }
      simulation.arrivals().offer_instants(instants);
      for (DurationNs now = 7ms; now < 2s; now += 7ms) {  // where it pauses changes nothing
        simulation.run_until(at(now));
      }
      const std::vector<Batch> batches = batches_of(simulation);
      CHECK(batches.size() > 10);
      CHECK(batches == ByHand(params, workers).run(instants, {}));
    }
  }
}

TEST_CASE("to ask the dispatcher more often than it wants changes nothing, beside a function too") {
  std::vector<SimulatedWorker> workers = {worker_of(8ms, 1ms), worker_of(3ms, 4ms, 4), worker_of(30ms, 200us)};
  workers[2].slowdown = 3;  // overdue most of the time
  for (const DurationNs burst_latency : {0ms, 40ms, 70ms}) {
    for (const double rate : {50.0, 300.0, 1000.0}) {
      CAPTURE(burst_latency.count());
      CAPTURE(rate);
      DispatcherParams params = dispatcher_of(100ms, 8);
      params.burst_latency = burst_latency;
      const Instants instants = poisson(6, rate, 1s);
      CHECK(ByHand(params, workers).run(instants, poisson(7, 5000, 2s)) == ByHand(params, workers).run(instants, {}));
    }
  }
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
  functions.usd_per_request = 1;
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
  functions.usd_per_s = 1;
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

// Brings workers up, drains them and takes them down while requests arrive.
class Unrest {
 public:
  Unrest(Simulation& simulation, std::uint32_t seed) : simulation_(simulation), random_(seed) {}

  void step() {
    const WorkerId worker{below(4)};
    bool& is_up = up_[static_cast<std::size_t>(worker)];
    if (!is_up) {
      SimulatedWorker simulated = worker_of(DurationNs{1ms} * (1 + below(40)), 1ms);
      simulated.spec.batches_in_flight_max = 1 + static_cast<int>(below(2));
      simulated.slowdown = below(4) == 0 ? 3 : 1;
      if (below(3) == 0) {
        simulated.credits = {.baseline_share = 0.2, .credits_s = 0.01, .credits_max_s = 1};
      }
      simulation_.worker_up(worker, simulated);
      is_up = true;
    } else if (below(2) == 0) {
      simulation_.worker_drain(worker);
    } else {
      simulation_.worker_down(worker);
      is_up = false;
    }
  }

  std::uint32_t below(std::uint32_t limit) { return static_cast<std::uint32_t>(random_() % limit); }

 private:
  Simulation& simulation_;
  std::mt19937_64 random_;
  std::array<bool, 4> up_{};
};

TEST_CASE("no request is lost or counted twice, whatever becomes of the workers") {
  for (std::uint32_t seed = 0; seed < 300; ++seed) {
    CAPTURE(seed);
    FunctionPoolParams functions = functions_of(DurationNs{1ms} * (20 + seed % 100), 3);
    functions.cold_start = seed % 2 == 0 ? 0ms : 200ms;
    Simulation simulation(dispatcher_of(100ms, 8, seed % 5 != 0), {.seed = seed, .service_variation = 0.3},
                          seed % 3 == 0 ? std::nullopt : std::optional{functions});
    Unrest unrest(simulation, seed);
    offer_rate(simulation, 300, 300ms);
    for (DurationNs now = 1ms; now < 400ms; now += DurationNs{1ms} * (1 + unrest.below(40))) {
      simulation.run_until(at(now));
      unrest.step();
      REQUIRE(all_ended(simulation) <= simulation.tally().offered());
    }
    simulation.run_until(at(1min));
    const Statistics statistics = simulation.statistics();
    REQUIRE(statistics.queued_requests == 0);
    REQUIRE(statistics.in_flight_requests == 0);
    REQUIRE(simulation.tally().offered() == simulation.arrived());
    REQUIRE(all_ended(simulation) == simulation.arrived());
  }
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
