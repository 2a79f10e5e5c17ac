#include "mark/dispatcher.h"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <variant>

#include "mark/admission_policy.h"
#include "mark/balancer.h"
#include "mark/batch_policy.h"
#include "mark/batch_queue.h"
#include "mark/batches_in_flight.h"
#include "mark/fleet_health.h"
#include "mark/launch_policy.h"
#include "mark/live_requests.h"
#include "mark/shedding.h"
#include "mark/worker.h"

namespace mark {
namespace {

// The balancer keeps a table by rows; no batch of more is plausible.
constexpr int kRowsMax = 65536;
// Each has a queue of its own to look at.
constexpr int kPriorityLevelsMax = 16;

void require(bool holds, const char* message) {
  if (!holds) {
    throw std::invalid_argument(message);
  }
}

DispatcherParams checked(const DispatcherParams& params) {
  require(params.rt_max > DurationNs::zero(), "dispatcher: rt_max must be positive");
  require(params.rows_max >= 1 && params.rows_max <= kRowsMax, "dispatcher: rows_max must lie between 1 and 65536");
  require(params.queue_requests_max >= 1, "dispatcher: queue_requests_max must be 1 or more");
  require(params.queue_bytes_max >= 1, "dispatcher: queue_bytes_max must be 1 or more");
  require(params.margin >= DurationNs::zero() && params.margin < params.rt_max,
          "dispatcher: margin must be 0 or more and smaller than rt_max");
  require(params.priority_levels >= 1 && params.priority_levels <= kPriorityLevelsMax,
          "dispatcher: priority_levels must lie between 1 and 16");
  require(params.priority_default >= 1 && params.priority_default <= params.priority_levels,
          "dispatcher: priority_default must lie between 1 and priority_levels");
  require(!params.fixed || (params.fixed->rows >= 1 && params.fixed->wait >= DurationNs::zero()),
          "dispatcher: a fixed batch has 1 row or more and a wait of 0 or more");
  require(params.burst_latency >= DurationNs::zero(), "dispatcher: burst_latency must be 0 or more");
  return params;
}

AdmissionParams admission_params(const DispatcherParams& params) {
  return {.rt_max = params.rt_max,
          .margin = params.margin,
          .burst_latency = params.burst_latency,
          .predicts = params.admission};
}

Outcome ending_of(Failure failure) {
  return failure == Failure::kWorkerLost ? Outcome::kWorkerLost : Outcome::kModelError;
}

}  // namespace

class Dispatcher::State {
 public:
  explicit State(const DispatcherParams& params)
      : params_(checked(params)),
        queue_(requests_, params.queue_requests_max, params.queue_bytes_max, params.priority_levels),
        arrivals_(params.rt_max),
        policy_(params.margin, params.fixed),
        balancer_(policy_, params.rows_max, params.rt_max - params.margin),
        health_(balancer_, params.rt_max - params.margin, params.margin, params.corrects),
        admission_(queue_, balancer_, admission_params(params)),
        launching_(queue_, balancer_, policy_, admission_, arrivals_) {}

  Admission submit(const Request& request, TimeNs now);
  Decisions poll(TimeNs now);
  std::optional<TimeNs> next_wakeup() const { return wakeup_; }
  std::vector<RequestId> complete(BatchId batch, TimeNs now);
  std::vector<Drop> fail(BatchId batch, Failure failure, TimeNs now);
  bool cancel(RequestId request, TimeNs now);
  void worker_up(WorkerId worker, const WorkerSpec& spec, TimeNs now);
  void worker_drain(WorkerId worker);
  bool worker_busy(WorkerId worker) const;
  std::vector<Drop> worker_down(WorkerId worker, TimeNs now);
  void retune(const DispatcherParams& params, TimeNs now);
  void shed(double share) { shedding_.share(share); }
  DurationNs backlog(TimeNs now) const { return admission_.backlog(now); }
  Statistics statistics() const;

 private:
  void advance(TimeNs now);
  void plan_wakeup();
  void count(Outcome outcome) { ++statistics_.ended[static_cast<std::size_t>(outcome)]; }
  void drop(RequestId request, Outcome outcome, std::vector<Drop>& drops);
  void drop_doomed(std::vector<Drop>& drops);
  bool take_next(Decisions& decisions);
  Dispatch launch(const LaunchBatch& decided);
  void probe(Decisions& decisions);
  LiveRequest* in_flight(const BatchInFlight& batch, RequestId request);
  void close(const BatchInFlight& batch);
  bool deserves_retry(const LiveRequest& entry, const BatchInFlight& batch, Failure failure) const;
  void fail_batch(const BatchInFlight& batch, Failure failure, std::vector<Drop>& drops);

  DispatcherParams params_;
  LiveRequests requests_;
  BatchQueue queue_;
  BatchesInFlight batches_;
  ArrivalGap arrivals_;
  BatchPolicy policy_;
  Balancer balancer_;
  FleetHealth health_;
  AdmissionPolicy admission_;
  Shedding shedding_;
  LaunchPolicy launching_;
  Statistics statistics_;
  TimeNs now_ = TimeNs::min();  // of the latest event
  std::optional<TimeNs> wakeup_;
};

void Dispatcher::State::advance(TimeNs now) {
  require(now >= now_, "dispatcher: now is earlier than at the event before; pass times of one steady clock");
  now_ = now;
}

// After an event other than poll: what it changed may be work for poll at once, if a worker is free to take it.
void Dispatcher::State::plan_wakeup() {
  if (queue_.empty()) {
    wakeup_.reset();
  } else {
    wakeup_ = balancer_.any_free() ? now_ : std::max(now_, admission_.look_again_at(now_));
  }
}

Admission Dispatcher::State::submit(const Request& request, TimeNs now) {
  require(request.rows >= 1, "dispatcher: a request has 1 row or more");
  require(request.priority >= 1 && request.priority <= params_.priority_levels,
          "dispatcher: a priority lies between 1 and priority_levels");
  require(request.bytes >= 0, "dispatcher: a request has 0 bytes or more");
  requests_.check_new(request.id);
  advance(now);
  if (request.rows > params_.rows_max) {
    return Admission::kTooManyRows;
  }
  ++statistics_.submitted_requests;
  statistics_.submitted_rows += static_cast<std::uint64_t>(request.rows);
  const bool is_lowest = request.priority == params_.priority_levels;
  if (is_lowest) {
    statistics_.submitted_rows_lowest += static_cast<std::uint64_t>(request.rows);
  }
  const bool sheds = is_lowest && shedding_.refuses_next();
  const Admission answer = sheds ? Admission::kShed : admission_.admit(request, now);
  if (answer != Admission::kAccepted) {
    count(outcome_of(answer));
    return answer;
  }
  ++statistics_.admitted_requests;
  requests_.add(request, now);
  queue_.push(request.id.slot());
  arrivals_.arrived(now);
  plan_wakeup();
  return answer;
}

void Dispatcher::State::drop_doomed(std::vector<Drop>& drops) {
  for (int priority = 1; priority <= queue_.priorities(); ++priority) {
    const LiveRequest* head = queue_.head(priority);
    while (head != nullptr && admission_.is_doomed(*head, now_)) {
      drop(head->request.id, now_ < head->request.deadline ? Outcome::kPredictedMiss : Outcome::kExpired, drops);
      head = queue_.head(priority);
    }
  }
}

void Dispatcher::State::drop(RequestId request, Outcome outcome, std::vector<Drop>& drops) {
  queue_.remove(request.slot());
  requests_.forget(request);
  count(outcome);
  drops.push_back({request, outcome});
}

Decisions Dispatcher::State::poll(TimeNs now) {
  advance(now);
  Decisions decisions;
  do {
    drop_doomed(decisions.drops);
  } while (take_next(decisions));
  return decisions;
}

// True when it launched a batch or gave a request up; else wakeup_ says when to look again.
bool Dispatcher::State::take_next(Decisions& decisions) {
  const NextStep next = launching_.next(now_);
  if (const auto* wait = std::get_if<WaitUntil>(&next)) {
    wakeup_ = wait->at;
    return false;
  }
  if (const auto* give_up = std::get_if<GiveUp>(&next)) {
    drop(give_up->request, Outcome::kPredictedMiss, decisions.drops);
  } else {
    decisions.dispatches.push_back(launch(std::get<LaunchBatch>(next)));
    probe(decisions);
  }
  return true;
}

Dispatch Dispatcher::State::launch(const LaunchBatch& decided) {
  const Worker& worker = *decided.candidate.worker;
  const BatchTake& take = decided.candidate.take;
  const BatchFront& front = launching_.front();
  const DurationNs service = worker.profile.predict(take.rows);
  BatchInFlight& batch = batches_.open(worker.id, service);
  batch.measured = worker.measured.predict(take.rows);
  batch.launched = now_;
  batch.requests.assign(front.requests.begin(), front.requests.begin() + take.requests);
  for (const RequestId id : batch.requests) {
    LiveRequest& entry = requests_.at(id.slot());
    queue_.remove(id.slot());
    entry.batch = batch.id;
    if (!entry.solo) {  // a retry waits anew, and has been computed meanwhile
      statistics_.queue_wait.record(now_ - entry.arrival);
    }
  }
  balancer_.launched(worker.id, service, now_);
  const Dispatch dispatch{.batch = batch.id,
                          .worker = worker.id,
                          .requests = batch.requests,
                          .rows = take.rows,
                          .size = worker.profile.size_for(take.rows),
                          .reason = decided.reason,
                          .predicted_finish = worker.busy_until,
                          .earliest_deadline = front.deadline_of(take.requests)};
  batch.predicted = dispatch.predicted_finish - now_;
  statistics_.launched(dispatch, now_);
  if (queue_.holds_sooner(front.priority, front.deadline)) {
    ++statistics_.overtaking_batches;
  }
  return dispatch;
}

// Sends a copy of the head of the batch that was just launched to an ejected worker. The request stays in its own
// batch, so whatever becomes of the copy is no news to it.
void Dispatcher::State::probe(Decisions& decisions) {
  const std::optional<WorkerId> due = health_.due_for_probe(now_);
  if (!due) {
    return;
  }
  const Worker& worker = *balancer_.find(*due);
  const Dispatch& model = decisions.dispatches.back();
  const Request& head = requests_.at(model.requests.front().slot()).request;
  if (head.rows > worker.rows_max) {
    return;
  }
  const DurationNs service = worker.profile.predict(head.rows);
  BatchInFlight& batch = batches_.open(worker.id, service);
  batch.measured = worker.measured.predict(head.rows);
  batch.launched = now_;
  batch.requests.assign(1, head.id);
  balancer_.launched(worker.id, service, now_);
  health_.probed(worker.id);
  ++statistics_.probes;
  decisions.dispatches.push_back({.batch = batch.id,
                                  .worker = worker.id,
                                  .requests = batch.requests,
                                  .rows = head.rows,
                                  .size = worker.profile.size_for(head.rows),
                                  .reason = model.reason,
                                  .predicted_finish = worker.busy_until,
                                  .earliest_deadline = head.deadline,
                                  .probe = true});
}

// Null when the request ended, or left this batch, in the meantime.
LiveRequest* Dispatcher::State::in_flight(const BatchInFlight& batch, RequestId request) {
  LiveRequest* entry = requests_.find(request);
  return entry != nullptr && entry->batch == batch.id ? entry : nullptr;
}

void Dispatcher::State::close(const BatchInFlight& batch) {
  balancer_.finished(batch.worker, batch.service, now_);
  batches_.close(batch.id);
}

std::vector<RequestId> Dispatcher::State::complete(BatchId id, TimeNs now) {
  advance(now);
  std::vector<RequestId> answered;
  const BatchInFlight* batch = batches_.find(id);
  if (batch == nullptr) {
    return answered;
  }
  answered.reserve(batch->requests.size());
  for (const RequestId request : batch->requests) {
    if (const LiveRequest* entry = in_flight(*batch, request)) {
      statistics_.latency.record(now - entry->arrival);
      count(now <= entry->request.deadline ? Outcome::kAnswered : Outcome::kLate);
      --statistics_.in_flight_requests;
      requests_.forget(request);
      answered.push_back(request);
    }
  }
  statistics_.answered(batch->predicted, now - batch->launched);
  health_.answered(batch->worker, batch->launched, batch->measured, now_);
  close(*batch);
  plan_wakeup();
  return answered;
}

// A request that fails together with others may be innocent, so it is tried again alone. Alone, a model error is its
// own, and losing a second worker is once too often.
bool Dispatcher::State::deserves_retry(const LiveRequest& entry, const BatchInFlight& batch, Failure failure) const {
  if (entry.request.deadline <= now_) {
    return false;
  }
  return failure == Failure::kModelError ? batch.requests.size() > 1 : !entry.lost_worker;
}

void Dispatcher::State::fail_batch(const BatchInFlight& batch, Failure failure, std::vector<Drop>& drops) {
  for (const RequestId request : batch.requests) {
    LiveRequest* entry = in_flight(batch, request);
    if (entry == nullptr) {
      continue;
    }
    --statistics_.in_flight_requests;
    if (deserves_retry(*entry, batch, failure)) {
      entry->lost_worker = entry->lost_worker || failure == Failure::kWorkerLost;
      entry->solo = true;
      entry->batch = BatchId{};
      queue_.push(request.slot());
      ++statistics_.retried_requests;
      continue;
    }
    const bool own_error = failure == Failure::kModelError && batch.requests.size() == 1;
    const bool expired = entry->request.deadline <= now_;
    const Outcome outcome = expired && !own_error ? Outcome::kExpired : ending_of(failure);
    requests_.forget(request);
    count(outcome);
    drops.push_back({request, outcome});
  }
  health_.failed(batch.worker, now_);
  close(batch);
}

std::vector<Drop> Dispatcher::State::fail(BatchId id, Failure failure, TimeNs now) {
  advance(now);
  std::vector<Drop> drops;
  if (const BatchInFlight* batch = batches_.find(id)) {
    fail_batch(*batch, failure, drops);
    plan_wakeup();
  }
  return drops;
}

bool Dispatcher::State::cancel(RequestId request, TimeNs now) {
  advance(now);
  const LiveRequest* entry = requests_.find(request);
  if (entry == nullptr) {
    return false;
  }
  if (entry->batch.generation() == 0) {
    queue_.remove(request.slot());
  } else {
    --statistics_.in_flight_requests;
  }
  // gRPC reports a client's own deadline as a cancellation, a moment before ours: the promise was broken all the same.
  count(now + params_.margin >= entry->request.deadline ? Outcome::kExpired : Outcome::kCancelled);
  requests_.forget(request);
  plan_wakeup();
  return true;
}

void Dispatcher::State::worker_up(WorkerId worker, const WorkerSpec& spec, TimeNs now) {
  require(balancer_.find(worker) == nullptr, "dispatcher: this worker is up already; report it down first");
  require(spec.rows_max >= 1, "dispatcher: a worker takes 1 row or more");
  require(spec.batches_in_flight_max >= 1, "dispatcher: a worker takes 1 batch or more at a time");
  advance(now);
  const std::vector<int>& sizes = spec.profile.sizes();
  const int rows_max = std::min({spec.rows_max, params_.rows_max, sizes.empty() ? kRowsMax : sizes.back()});
  balancer_.add({.id = worker,
                 .profile = spec.profile,
                 .limits = policy_.limits(spec.profile, params_.rt_max - params_.margin, rows_max),
                 .rows_max = rows_max,
                 .batches_in_flight_max = spec.batches_in_flight_max});
  health_.up(worker);
  plan_wakeup();
}

void Dispatcher::State::worker_drain(WorkerId worker) {
  if (balancer_.find(worker) != nullptr) {
    balancer_.drain(worker);
    health_.drained();
    plan_wakeup();
  }
}

bool Dispatcher::State::worker_busy(WorkerId worker) const {
  const Worker* found = balancer_.find(worker);
  return found != nullptr && found->batches_in_flight > 0;
}

std::vector<Drop> Dispatcher::State::worker_down(WorkerId worker, TimeNs now) {
  advance(now);
  std::vector<Drop> drops;
  if (balancer_.find(worker) == nullptr) {
    return drops;
  }
  for (const BatchId id : batches_.of_worker(worker)) {
    fail_batch(*batches_.find(id), Failure::kWorkerLost, drops);
  }
  balancer_.remove(worker);
  health_.down(worker);
  plan_wakeup();
  return drops;
}

void Dispatcher::State::retune(const DispatcherParams& params, TimeNs now) {
  const DispatcherParams asked = checked(params);
  require(asked.rt_max == params_.rt_max, "dispatcher: rt_max cannot change; requests were promised it");
  require(asked.rows_max == params_.rows_max, "dispatcher: rows_max cannot change; workers were started for it");
  require(asked.priority_levels == params_.priority_levels,
          "dispatcher: priority_levels cannot change; requests of the old ones may be queued");
  advance(now);
  params_ = asked;
  policy_ = BatchPolicy(asked.margin, asked.fixed);
  queue_.bound(asked.queue_requests_max, asked.queue_bytes_max);
  balancer_.retune(asked.rt_max - asked.margin);
  health_.retune(asked.rt_max - asked.margin, asked.margin, asked.corrects);
  admission_.retune(admission_params(asked));
  plan_wakeup();
}

Statistics Dispatcher::State::statistics() const {
  Statistics snapshot = statistics_;
  snapshot.queued_requests = static_cast<std::int64_t>(queue_.size());
  snapshot.queued_bytes = queue_.bytes();
  snapshot.ready_workers = balancer_.ready();
  snapshot.workers = health_.statistics();
  snapshot.ejections = health_.ejections();
  return snapshot;
}

Dispatcher::Dispatcher(const DispatcherParams& params) : state_(std::make_unique<State>(params)) {}
Dispatcher::~Dispatcher() = default;
Dispatcher::Dispatcher(Dispatcher&&) noexcept = default;
Dispatcher& Dispatcher::operator=(Dispatcher&&) noexcept = default;

Admission Dispatcher::submit(const Request& request, TimeNs now) { return state_->submit(request, now); }
Decisions Dispatcher::poll(TimeNs now) { return state_->poll(now); }
std::optional<TimeNs> Dispatcher::next_wakeup() const { return state_->next_wakeup(); }
std::vector<RequestId> Dispatcher::complete(BatchId batch, TimeNs now) { return state_->complete(batch, now); }
std::vector<Drop> Dispatcher::fail(BatchId batch, Failure failure, TimeNs now) {
  return state_->fail(batch, failure, now);
}
bool Dispatcher::cancel(RequestId request, TimeNs now) { return state_->cancel(request, now); }
void Dispatcher::worker_up(WorkerId worker, const WorkerSpec& spec, TimeNs now) {
  state_->worker_up(worker, spec, now);
}
void Dispatcher::worker_drain(WorkerId worker) { state_->worker_drain(worker); }
bool Dispatcher::worker_busy(WorkerId worker) const { return state_->worker_busy(worker); }
std::vector<Drop> Dispatcher::worker_down(WorkerId worker, TimeNs now) { return state_->worker_down(worker, now); }
void Dispatcher::retune(const DispatcherParams& params, TimeNs now) { state_->retune(params, now); }
void Dispatcher::shed(double share) { state_->shed(share); }
DurationNs Dispatcher::backlog(TimeNs now) const { return state_->backlog(now); }
Statistics Dispatcher::statistics() const { return state_->statistics(); }

}  // namespace mark
