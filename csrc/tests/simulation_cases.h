// Workers, functions and arrivals to simulate, and what became of them.
#pragma once

#include <chrono>
#include <cstdint>
#include <random>
#include <utility>
#include <vector>

#include "mark/simulation/simulation.h"

namespace mark::simulation_cases {

using namespace std::chrono_literals;

constexpr WorkerId kFirst{1};
constexpr WorkerId kSecond{2};

inline TimeNs at(DurationNs since_start) { return TimeNs{since_start}; }

inline DispatcherParams dispatcher_of(DurationNs rt_max, int rows_max, bool admission = true) {
  return {.rt_max = rt_max, .rows_max = rows_max, .queue_requests_max = 1 << 20, .admission = admission};
}

inline SimulatedWorker worker_of(DurationNs once, DurationNs each_row, int rows_max = 8) {
  return {.spec = {.profile = LatencyProfile{{{1, once + each_row}, {8, once + 8 * each_row}}}, .rows_max = rows_max},
          .credits = {}};
}

inline FunctionPoolParams functions_of(DurationNs latency, int concurrency_max) {
  FunctionPoolParams params;
  params.latency = latency;
  params.idle_max = 10min;
  params.concurrency_max = concurrency_max;
  params.cold_starts_burst = concurrency_max;
  params.cold_starts_per_s = 0;
  return params;
}

using Instants = std::vector<std::int64_t>;

inline Instants poisson(std::uint32_t seed, double rate_per_s, DurationNs duration) {
  std::mt19937_64 random(seed);
  std::exponential_distribution<double> gap_ns(rate_per_s / 1e9);
  Instants instants;
  for (TimeNs now; now < at(duration); now += DurationNs{static_cast<std::int64_t>(gap_ns(random))}) {
    instants.push_back(now.time_since_epoch().count());
  }
  return instants;
}

inline void offer_rate(Simulation& simulation, double rate_per_s, DurationNs until) {
  const std::int64_t end_ns = until.count();
  simulation.arrivals().offer_rates({&end_ns, 1}, {&rate_per_s, 1});
}

inline std::uint64_t ended(const Simulation& simulation, Ending ending) { return simulation.tally().ended(ending); }

inline std::uint64_t all_ended(const Simulation& simulation) {
  std::uint64_t sum = 0;
  for (const Ending ending : {Ending::kInstance, Ending::kServerless, Ending::kRefused, Ending::kLate}) {
    sum += ended(simulation, ending);
  }
  return sum;
}

inline double seconds(DurationNs duration) { return std::chrono::duration<double>(duration).count(); }

inline double mean_latency_s(const Simulation& simulation) {
  const LatencyHistogram& latency = simulation.tally().latency();
  return seconds(latency.sum()) / static_cast<double>(latency.count());
}

using Batch = std::pair<std::pair<TimeNs, WorkerId>, std::vector<std::uint64_t>>;

inline std::vector<Batch> batches_of(const Simulation& simulation) {
  std::vector<Batch> batches;
  for (const SimulatedBatch& batch : simulation.batches()) {
    batches.push_back({{batch.launched, batch.worker}, batch.requests});
  }
  return batches;
}

}  // namespace mark::simulation_cases
