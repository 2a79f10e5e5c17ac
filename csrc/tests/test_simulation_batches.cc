#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "mark/simulation/simulation.h"
#include "simulation_cases.h"

namespace mark {
namespace {

using namespace simulation_cases;  // NOLINT(google-build-using-namespace)

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

}  // namespace
}  // namespace mark
