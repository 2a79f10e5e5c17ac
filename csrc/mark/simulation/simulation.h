// Drives the real Dispatcher in virtual time: arrivals, batches that take as long as their workers take, functions.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <queue>
#include <span>
#include <unordered_map>
#include <vector>

#include "mark/burst_ledger.h"
#include "mark/burst_policy.h"
#include "mark/dispatcher.h"
#include "mark/shedding.h"
#include "mark/simulation/arrival_stream.h"
#include "mark/simulation/credit_bucket.h"
#include "mark/simulation/function_pool.h"
#include "mark/simulation/random.h"
#include "mark/simulation/tally.h"
#include "mark/types.h"

namespace mark {

struct SimulationParams {
  std::uint64_t seed = 0;
  double service_variation = 0;  // of the time of a batch: about its standard deviation over its mean; 0: none
  DurationNs bin = std::chrono::minutes{1};          // of the tally
  TimeNs counted_from = TimeNs{DurationNs::zero()};  // what arrives before is not in the tally
  bool keeps_batches = false;  // remembers every batch and burst decision, for comparison with live serving
  BurstLimits burst_limits = BurstLimits::none();
  double lowest_share = 0;  // of the requests, that are of the lowest priority; all others are of the highest
};

// A worker as it is, beside what the dispatcher is told of it.
struct SimulatedWorker {
  WorkerSpec spec;
  double slowdown = 1;                  // times that it takes longer than its profile says
  std::optional<CreditParams> credits;  // of a burstable one
};

struct SimulatedBatch {
  TimeNs launched;
  WorkerId worker{};
  std::vector<std::uint64_t> requests;  // by their order of arrival, from 0 on
};

// What was decided on a request that instances cannot answer.
struct SimulatedBurst {
  TimeNs decided;
  std::uint64_t request = 0;  // by its order of arrival
  BurstVerdict verdict = BurstVerdict::kSend;
};

// Between two calls of run_until a control loop may look, and may bring workers up, drain them and take them down: the
// request path of live serving with another driver. Each event is handled at its own time, in the order: what workers
// and functions answer, arrivals, then whatever the dispatcher decides.
//
// A batch takes what its worker's profile says, which is a p99, times a lognormal factor whose 99th percentile is 1.
//
// Deterministic: the same calls give the same results. Thread safety: none.
//
// Invariant: every request that arrived is queued or in flight in the dispatcher, with a function, or in the tally.
class Simulation {
 public:
  // functions: empty when there is no serverless. dispatcher.burst_latency is taken from them.
  Simulation(DispatcherParams dispatcher, const SimulationParams& params,
             const std::optional<FunctionPoolParams>& functions);

  ArrivalStream& arrivals() { return arrivals_; }

  // Handles every event before `until`; the simulated time is `until` then.
  // At most so many of them: false when more are left, and the time is that of the last one.
  bool run_until(TimeNs until, std::int64_t events_max = std::numeric_limits<std::int64_t>::max());
  TimeNs now() const { return now_; }

  void worker_up(WorkerId worker, const SimulatedWorker& simulated);
  void worker_drain(WorkerId worker);
  void worker_slowdown(WorkerId worker, double slowdown);  // from its next batch on
  bool worker_busy(WorkerId worker) const { return dispatcher_.worker_busy(worker); }
  void worker_down(WorkerId worker);
  void shed(double share) { dispatcher_.shed(share); }
  void limit_bursts(double usd_per_hour);  // as BurstPolicy::limit; nothing without functions
  double bursts_usd() const { return bursting_ ? bursting_->spent_usd(now_) : 0; }  // as BurstPolicy::spent_usd
  double credits_s(WorkerId worker);                                                // that a burstable one has now
  double surplus_s(WorkerId worker) const;  // that an unlimited one used without having credits

  std::uint64_t arrived() const { return arrived_; }  // in all, before counted_from too
  const Tally& tally() const { return tally_; }
  const FunctionPool* functions() const { return functions_ ? &*functions_ : nullptr; }
  const std::vector<SimulatedBatch>& batches() const { return batches_; }
  const std::vector<SimulatedBurst>& bursts() const { return bursts_; }
  BurstStatistics burst_statistics() const { return ledger_.statistics(); }
  Statistics statistics() const { return with_bursts(dispatcher_.statistics(), ledger_.statistics()); }

 private:
  struct Slot {
    std::uint32_t generation = 0;
    TimeNs arrival;
    TimeNs deadline;
    std::uint64_t ordinal = 0;
  };
  struct Finish {
    TimeNs at;
    std::uint64_t sequence = 0;  // between equal times
    BatchId batch;               // zero: a function's answer
    std::uint32_t slot = 0;      // of the function's request
    DurationNs ran{};            // of the function
    BurstTicket ticket;          // of the function's request

    bool operator>(const Finish& other) const { return at != other.at ? at > other.at : sequence > other.sequence; }
  };
  struct Truth {
    SimulatedWorker simulated;
    std::optional<CreditBucket> credits;
    TimeNs free_at = TimeNs::min();  // it computes one batch after another
  };

  void arrive();
  void finish(const Finish& event);
  void poll();
  void launch(const Dispatch& dispatch);
  void drop(const std::vector<Drop>& drops);
  void give_up(std::uint32_t slot, Outcome otherwise);
  bool burst(BurstPolicy& policy, FunctionPool& functions, std::uint32_t slot, Outcome otherwise);
  BurstVerdict decide(const BurstPolicy& policy, std::uint32_t slot);
  void report_throttled();
  void release(std::uint32_t slot) { free_slots_.push_back(slot); }
  std::uint32_t take_slot();
  double variation();

  SimulationParams params_;
  DurationNs rt_max_;
  int priority_levels_;
  Dispatcher dispatcher_;
  ArrivalStream arrivals_;
  Random random_;
  std::optional<FunctionPool> functions_;
  std::optional<BurstPolicy> bursting_;
  BurstLedger ledger_;
  std::vector<BurstTicket> throttled_;  // not reported yet
  Tally tally_;
  Shedding lowest_;  // spreads the lowest priority over the requests as evenly as it spreads refusals
  TimeNs now_;
  std::uint64_t arrived_ = 0;
  std::unordered_map<WorkerId, Truth> workers_;
  std::vector<Slot> slots_;
  std::vector<std::uint32_t> free_slots_;
  std::priority_queue<Finish, std::vector<Finish>, std::greater<>> finishes_;
  std::uint64_t sequence_ = 0;
  std::vector<SimulatedBatch> batches_;
  std::vector<SimulatedBurst> bursts_;
};

}  // namespace mark
