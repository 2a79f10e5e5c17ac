// What the simulator sends to functions, within the limits of the bouncer.
#include <doctest/doctest.h>

#include <chrono>
#include <cstddef>
#include <vector>

#include "mark/simulation/simulation.h"
#include "simulation_cases.h"

namespace mark {
namespace {

using namespace std::chrono_literals;
using namespace simulation_cases;  // NOLINT(google-build-using-namespace)

std::uint64_t decided(const Simulation& simulation, BurstVerdict verdict) {
  return simulation.burst_statistics().decided[static_cast<std::size_t>(verdict)];
}

TEST_CASE("a budget is spent, and then requests are refused until an hour has passed") {
  FunctionPoolParams functions = functions_of(40ms, 100);
  functions.price.usd_per_request = 1;
  Simulation simulation(dispatcher_of(100ms, 8),
                        {.bin = 1h, .keeps_batches = true, .burst_limits = {.budget_usd_per_hour = 2, .breaker = {}}},
                        functions);
  simulation.arrivals().offer_instants(Instants{0, 0, 0, 3'600'000'000'000, 3'660'000'000'000});
  simulation.run_until(at(2h));
  CHECK(decided(simulation, BurstVerdict::kSend) == 3);
  CHECK(decided(simulation, BurstVerdict::kOverBudget) == 2);
  CHECK(simulation.functions()->usd(simulation.now()) == 3);
  REQUIRE(simulation.bursts().size() == 5);
  CHECK(simulation.bursts()[2].verdict == BurstVerdict::kOverBudget);
  CHECK(simulation.bursts()[3].request == 3);
  CHECK(simulation.bursts()[3].decided == at(1h));
  CHECK(simulation.bursts()[4].verdict == BurstVerdict::kSend);
}

TEST_CASE("a cloud that throttles opens the breaker, and a probe finds out when it does no more") {
  FunctionPoolParams functions = functions_of(40ms, 100);
  functions.cold_starts_burst = 1;
  functions.cold_starts_per_s = 0;
  Simulation simulation(
      dispatcher_of(100ms, 8),
      {.bin = 1s, .burst_limits = {.budget_usd_per_hour = 100, .breaker = {.failures_max = 2, .open = 50ms}}},
      functions);
  // One is served, two are throttled, two find the breaker open; then the one function is free.
  simulation.arrivals().offer_instants(Instants{0, 1'000'000, 2'000'000, 3'000'000, 51'000'000, 52'000'000});
  simulation.run_until(at(1s));
  CHECK(decided(simulation, BurstVerdict::kSend) == 4);
  CHECK(decided(simulation, BurstVerdict::kBroken) == 2);
  CHECK(ended(simulation, Ending::kServerless) == 2);
  CHECK(ended(simulation, Ending::kRefused) == 4);
  const Statistics whole = simulation.statistics();
  CHECK(whole.ended[static_cast<std::size_t>(Outcome::kAnswered)] == 2);
  CHECK(whole.ended[static_cast<std::size_t>(Outcome::kPredictedMiss)] == 4);
  CHECK(whole.latency.count() == 2);
  CHECK(whole.submitted_requests == 6);
}

}  // namespace
}  // namespace mark
