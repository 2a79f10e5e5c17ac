#include <doctest/doctest.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <random>

#include "mark/simulation/simulation.h"
#include "simulation_cases.h"

namespace mark {
namespace {

using namespace simulation_cases;  // NOLINT(google-build-using-namespace)

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

}  // namespace
}  // namespace mark
