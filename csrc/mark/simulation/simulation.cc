#include "mark/simulation/simulation.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <utility>

namespace mark {
namespace {

constexpr double kNormalP99 = 2.3263478740408408;
// Of what is drawn for arrivals and for service, so that policies that serve differently see the same arrivals.
constexpr std::uint64_t kServiceSeed = 0x9E3779B97F4A7C15ULL;

DispatcherParams with_functions(DispatcherParams params, const std::optional<FunctionPoolParams>& functions) {
  params.burst_latency = functions ? functions->latency : DurationNs::zero();
  return params;
}

void check(const SimulationParams& params) {
  if (!(params.service_variation >= 0 && params.service_variation < 1) || params.bin <= DurationNs::zero()) {
    throw std::invalid_argument("simulation: service_variation must lie in [0, 1) and bin be positive");
  }
}

void check_slowdown(double slowdown) {
  if (!(slowdown > 0) || !std::isfinite(slowdown)) {
    throw std::invalid_argument("simulation: slowdown must be positive and finite");
  }
}

DurationNs scaled(DurationNs duration, double factor) {
  return DurationNs{std::max<std::int64_t>(1, std::llround(static_cast<double>(duration.count()) * factor))};
}

}  // namespace

Simulation::Simulation(DispatcherParams dispatcher, const SimulationParams& params,
                       const std::optional<FunctionPoolParams>& functions)
    : params_(params),
      rt_max_(dispatcher.rt_max),
      priority_levels_(dispatcher.priority_levels),
      dispatcher_(with_functions(dispatcher, functions)),
      arrivals_(params.seed),
      random_(params.seed ^ kServiceSeed),
      ledger_(dispatcher.margin),
      tally_(params.bin, params.counted_from) {
  check(params);
  lowest_.share(params.lowest_share);
  if (functions) {
    functions_.emplace(*functions, now_);
    bursting_.emplace(BurstParams{.latency = functions->latency,
                                  .concurrency_max = functions->concurrency_max,
                                  .usd_per_request = functions->price.usd(functions->latency),
                                  .limits = params.burst_limits});
  }
}

bool Simulation::run_until(TimeNs until, std::int64_t events_max) {
  if (until < now_) {
    throw std::invalid_argument("simulation: time does not go back");
  }
  for (std::int64_t events = 0;; ++events) {
    const TimeNs finish_at = finishes_.empty() ? TimeNs::max() : finishes_.top().at;
    const TimeNs arrival_at = arrivals_.next();
    // A drain, which knows no time, leaves a wakeup at the event before it.
    const TimeNs wakeup_at = std::max(now_, dispatcher_.next_wakeup().value_or(TimeNs::max()));
    const TimeNs next = std::min({finish_at, arrival_at, wakeup_at});
    // A cloud's refusal is no news yet to those who ask at the same instant.
    if (next > now_ || finish_at <= next || arrival_at > next) {
      report_throttled();
    }
    if (next >= until) {
      break;
    }
    if (events == events_max) {
      return false;
    }
    now_ = std::max(now_, next);
    if (finish_at <= next) {
      const Finish event = finishes_.top();
      finishes_.pop();
      finish(event);
    } else if (arrival_at <= next) {
      arrive();
    } else {
      poll();
    }
  }
  now_ = until;
  return true;
}

std::uint32_t Simulation::take_slot() {
  if (free_slots_.empty()) {
    free_slots_.push_back(static_cast<std::uint32_t>(slots_.size()));
    slots_.emplace_back();
  }
  const std::uint32_t slot = free_slots_.back();
  free_slots_.pop_back();
  if (++slots_[slot].generation == 0) {
    slots_[slot].generation = 1;  // 0 names nothing
  }
  return slot;
}

void Simulation::arrive() {
  const std::uint32_t slot = take_slot();
  Slot& entry = slots_[slot];
  entry.arrival = now_;
  entry.deadline = now_ + rt_max_;
  entry.ordinal = arrived_++;
  arrivals_.pop();
  tally_.offered(now_);
  const Request request{.id = RequestId::of(slot, entry.generation),
                        .deadline = entry.deadline,
                        .priority = lowest_.refuses_next() ? priority_levels_ : 1};
  const Admission answer = dispatcher_.submit(request, now_);
  if (answer != Admission::kAccepted) {
    give_up(slot, outcome_of(answer));
  }
}

// What instances do not answer in time goes to a function, if one does.
void Simulation::give_up(std::uint32_t slot, Outcome otherwise) {
  if (!bursting_ || !functions_ || !burst(*bursting_, *functions_, slot, otherwise)) {
    tally_.unanswered(otherwise == Outcome::kShed ? Ending::kShed : Ending::kRefused, slots_[slot].arrival);
    release(slot);
  }
}

bool Simulation::burst(BurstPolicy& policy, FunctionPool& functions, std::uint32_t slot, Outcome otherwise) {
  if (decide(policy, slot) != BurstVerdict::kSend) {
    return false;
  }
  const BurstTicket ticket = policy.sent(now_);
  ledger_.sent(otherwise);
  const std::optional<FunctionStart> started = functions.start(now_);
  if (!started) {
    throttled_.push_back(ticket);
    ledger_.ended(otherwise);
    return false;
  }
  tally_.burst(slots_[slot].arrival);
  const FunctionPoolParams& params = functions.params();
  const DurationNs ran = scaled(params.latency, variation()) + (started->cold ? params.cold_start : DurationNs::zero());
  finishes_.push({.at = now_ + ran, .sequence = sequence_++, .batch = {}, .slot = slot, .ran = ran, .ticket = ticket});
  return true;
}

void Simulation::report_throttled() {
  if (bursting_) {
    for (const BurstTicket& ticket : throttled_) {
      bursting_->ended(ticket, true, 0, now_);
    }
    throttled_.clear();
  }
}

BurstVerdict Simulation::decide(const BurstPolicy& policy, std::uint32_t slot) {
  const BurstVerdict verdict = policy.decide(slots_[slot].deadline, now_);
  ledger_.decided(verdict);
  if (params_.keeps_batches) {
    bursts_.push_back({.decided = now_, .request = slots_[slot].ordinal, .verdict = verdict});
  }
  return verdict;
}

void Simulation::finish(const Finish& event) {
  if (event.batch.generation() == 0 && functions_ && bursting_) {
    functions_->finish(event.ran, now_);
    const Slot& entry = slots_[event.slot];
    bursting_->ended(event.ticket, false, functions_->params().price.usd(event.ran), now_);
    ledger_.answered(entry.arrival, entry.deadline, now_);
    tally_.answered(now_ <= entry.deadline ? Ending::kServerless : Ending::kLate, entry.arrival, now_);
    release(event.slot);
    return;
  }
  for (const RequestId request : dispatcher_.complete(event.batch, now_)) {
    const Slot& entry = slots_[request.slot()];
    tally_.answered(now_ <= entry.deadline ? Ending::kInstance : Ending::kLate, entry.arrival, now_);
    release(request.slot());
  }
}

void Simulation::poll() {
  const Decisions decisions = dispatcher_.poll(now_);
  drop(decisions.drops);
  for (const Dispatch& dispatch : decisions.dispatches) {
    launch(dispatch);
  }
}

void Simulation::drop(const std::vector<Drop>& drops) {
  for (const Drop& dropped : drops) {
    give_up(dropped.request.slot(), dropped.outcome);
  }
}

void Simulation::launch(const Dispatch& dispatch) {
  Truth& worker = workers_.at(dispatch.worker);
  const DurationNs work =
      scaled(worker.simulated.spec.profile.predict(dispatch.rows), worker.simulated.slowdown * variation());
  const TimeNs begun = std::max(now_, worker.free_at);
  worker.free_at = begun + (worker.credits ? worker.credits->run(work, begun) : work);
  finishes_.push({.at = worker.free_at, .sequence = sequence_++, .batch = dispatch.batch, .ticket = {}});
  if (params_.keeps_batches) {
    SimulatedBatch& batch = batches_.emplace_back();
    batch.launched = now_;
    batch.worker = dispatch.worker;
    for (const RequestId request : dispatch.requests) {
      batch.requests.push_back(slots_[request.slot()].ordinal);
    }
  }
}

double Simulation::variation() {
  return params_.service_variation > 0 ? std::exp(params_.service_variation * (random_.normal() - kNormalP99)) : 1.0;
}

void Simulation::worker_up(WorkerId worker, const SimulatedWorker& simulated) {
  check_slowdown(simulated.slowdown);
  dispatcher_.worker_up(worker, simulated.spec, now_);
  Truth truth{.simulated = simulated, .credits = {}};
  if (simulated.credits) {
    truth.credits.emplace(*simulated.credits, now_);
  }
  workers_.emplace(worker, std::move(truth));
}

void Simulation::worker_drain(WorkerId worker) { dispatcher_.worker_drain(worker); }

void Simulation::worker_slowdown(WorkerId worker, double slowdown) {
  check_slowdown(slowdown);
  workers_.at(worker).simulated.slowdown = slowdown;
}

void Simulation::worker_down(WorkerId worker) {
  drop(dispatcher_.worker_down(worker, now_));
  workers_.erase(worker);
}

void Simulation::limit_bursts(double usd_per_hour) {
  if (bursting_) {
    bursting_->limit(usd_per_hour);
  }
}

double Simulation::credits_s(WorkerId worker) {
  Truth& truth = workers_.at(worker);
  return truth.credits ? truth.credits->credits_s(now_) : 0.0;
}

double Simulation::surplus_s(WorkerId worker) const {
  const Truth& truth = workers_.at(worker);
  return truth.credits ? truth.credits->surplus_s() : 0.0;
}

}  // namespace mark
