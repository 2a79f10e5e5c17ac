#include "net/endpoint.h"

#include <atomic>
#include <unordered_map>

#include "mark/mutex.h"
#include "net/payload_slots.h"

namespace mark::net {

// Lock order: mutex_ is never held while the dispatcher is called, nor the other way round.
class Endpoint::State {
 public:
  State(ModelSignature signature, const DispatcherParams& params)
      : signature_(std::make_shared<const ModelSignature>(std::move(signature))),
        rows_max_(params.rows_max),
        priority_levels_(params.priority_levels),
        priority_default_(params.priority_default),
        dispatcher_(params) {}

  std::variant<RequestId, RequestError, Refusal> submit(std::string_view message, TimeNs deadline, TimeNs now,
                                                        std::uint64_t caller,
                                                        const std::shared_ptr<RequestTrace>& trace);
  EndpointDecisions poll(TimeNs now);
  // split(signature, requests, size) cuts the batch's answer into theirs, or says what is wrong with it.
  template <class Split>
  std::vector<Reply> complete(BatchId batch, TimeNs now, Split split) EXCLUDES(mutex_);
  std::vector<Reply> fail(BatchId batch, Failure failure, std::string_view detail, TimeNs now);
  bool cancel(RequestId request, TimeNs now);
  std::vector<Reply> worker_down(WorkerId worker, TimeNs now);
  void retune(const DispatcherParams& params, TimeNs now);

  ConcurrentDispatcher& dispatcher() { return dispatcher_; }
  const ConcurrentDispatcher& dispatcher() const { return dispatcher_; }
  const ModelSignature& signature() const { return *signature_; }

 private:
  // A batch on its way. It keeps the payloads: a request that is cancelled meanwhile still has rows in the response.
  struct Carried {
    WorkerId worker{};
    int size = 0;  // rows of the message, padding included; 0: those of the payloads
    std::vector<RequestId> ids;
    std::shared_ptr<const std::vector<Payload>> payloads;
    std::vector<std::shared_ptr<RequestTrace>> traces;  // until it is on its way
  };

  // Pairs the batch's ids with their payloads; a request that was cancelled since the dispatcher chose it is left out.
  Carried load(const Dispatch& dispatch) EXCLUDES(mutex_);
  Carried unload(BatchId batch) EXCLUDES(mutex_);
  static std::shared_ptr<BatchTrace> traced(const OutboundBatch& batch,
                                            std::vector<std::shared_ptr<RequestTrace>> requests);
  std::vector<BatchId> carried_by(WorkerId worker) const EXCLUDES(mutex_);
  void free(RequestId request) EXCLUDES(mutex_);
  std::vector<Reply> replies_to(const std::vector<Drop>& drops, std::string_view detail) EXCLUDES(mutex_);

  const std::shared_ptr<const ModelSignature> signature_;
  const int rows_max_;
  const int priority_levels_;
  std::atomic<int> priority_default_;
  ConcurrentDispatcher dispatcher_;
  mutable Mutex mutex_;
  PayloadSlots slots_ GUARDED_BY(mutex_);
  std::unordered_map<BatchId, Carried> carried_ GUARDED_BY(mutex_);
};

std::variant<RequestId, RequestError, Refusal> Endpoint::State::submit(std::string_view message, TimeNs deadline,
                                                                       TimeNs now, std::uint64_t caller,
                                                                       const std::shared_ptr<RequestTrace>& trace) {
  auto parsed = parse_infer_request(message, *signature_);
  if (auto* error = std::get_if<RequestError>(&parsed)) return std::move(*error);
  auto payload = std::make_shared<const InferRequest>(std::get<InferRequest>(std::move(parsed)));
  if (payload->priority > static_cast<std::uint64_t>(priority_levels_)) {
    return RequestError{RequestFault::kInvalid, "parameters['priority']",
                        "parameters['priority']: is " + std::to_string(payload->priority) +
                            "; the levels are 1, which goes first, to " + std::to_string(priority_levels_) +
                            ", and 0 or none for " + std::to_string(priority_default_.load())};
  }
  Request request{.id = {},
                  .rows = payload->rows,
                  .bytes = payload->bytes(),
                  .deadline = deadline,
                  .shape = 0,
                  .priority = payload->priority == 0 ? priority_default_.load() : static_cast<int>(payload->priority)};
  if (trace) trace->queued(now);
  {
    // Stored first: another thread may dispatch the request before submit() returns.
    const MutexLock lock(mutex_);
    request.id = slots_.store(std::move(payload), caller, trace);
    request.shape = slots_.shape_class(request.id);
  }
  const Admission admission = dispatcher_.submit(request, now);
  if (admission == Admission::kAccepted) return request.id;
  free(request.id);
  if (trace) trace->refused();
  if (admission == Admission::kTooManyRows) {
    return RequestError{RequestFault::kInvalid, "inputs[0].shape",
                        "inputs[0].shape: has " + std::to_string(request.rows) + " rows, more than the " +
                            std::to_string(rows_max_) + " that one batch may have; send several requests"};
  }
  return Refusal{admission, dispatcher_.backlog(now)};
}

Endpoint::State::Carried Endpoint::State::load(const Dispatch& dispatch) {
  Carried carried{.worker = dispatch.worker, .size = dispatch.size, .ids = {}, .payloads = {}, .traces = {}};
  std::vector<Payload> payloads;
  carried.ids.reserve(dispatch.requests.size());
  payloads.reserve(dispatch.requests.size());
  const MutexLock lock(mutex_);
  for (const RequestId id : dispatch.requests) {
    if (Payload payload = slots_.find(id)) {
      carried.ids.push_back(id);
      payloads.push_back(std::move(payload));
      // A probe is a copy: what becomes of the request itself, another batch tells.
      if (slots_.trace_of(id) && !dispatch.probe) carried.traces.push_back(slots_.trace_of(id));
    }
  }
  carried.payloads = std::make_shared<const std::vector<Payload>>(std::move(payloads));
  if (!carried.ids.empty()) {
    carried_[dispatch.batch] = {
        .worker = carried.worker, .size = carried.size, .ids = carried.ids, .payloads = carried.payloads, .traces = {}};
  }
  return carried;
}

std::shared_ptr<BatchTrace> Endpoint::State::traced(const OutboundBatch& batch,
                                                    std::vector<std::shared_ptr<RequestTrace>> requests) {
  return std::make_shared<BatchTrace>(SpanName::kBatch, std::move(requests),
                                      BatchFacts{.model = batch.signature->name,
                                                 .requests = batch.requests,
                                                 .rows = batch.rows,
                                                 .size = batch.size,
                                                 .reason = batch.reason,
                                                 .predicted_finish = batch.predicted_finish});
}

EndpointDecisions Endpoint::State::poll(TimeNs now) {
  EndpointDecisions decided;
  const Decisions decisions = dispatcher_.poll(now);
  decided.batches.reserve(decisions.dispatches.size());
  for (const Dispatch& dispatch : decisions.dispatches) {
    Carried carried = load(dispatch);
    if (carried.ids.empty()) {
      dispatcher_.complete(dispatch.batch, now);  // everybody left: the worker is free again
      continue;
    }
    int rows = 0;
    for (const Payload& payload : *carried.payloads) rows += payload->rows;
    decided.batches.push_back({.batch = dispatch.batch,
                               .worker = dispatch.worker,
                               .signature = signature_,
                               .payloads = carried.payloads,
                               .requests = static_cast<int>(carried.payloads->size()),
                               .rows = rows,
                               .size = dispatch.size,
                               .reason = dispatch.reason,
                               .predicted_finish = dispatch.predicted_finish,
                               .earliest_deadline = dispatch.earliest_deadline});
    if (!carried.traces.empty())
      decided.batches.back().trace = traced(decided.batches.back(), std::move(carried.traces));
  }
  decided.replies = replies_to(decisions.drops, {});
  return decided;
}

template <class Split>
std::vector<Reply> Endpoint::State::complete(BatchId batch, TimeNs now, Split split) {
  const Carried carried = unload(batch);
  // Nothing is left to cut the answer for. Should the dispatcher know the batch all the same, it must not wait for it.
  if (carried.ids.empty()) return replies_to(dispatcher_.fail(batch, Failure::kWorkerLost, now), {});
  auto answers = split(*signature_, requests_of(*carried.payloads), carried.size);
  if (const auto* error = std::get_if<std::string>(&answers)) {
    return replies_to(dispatcher_.fail(batch, Failure::kModelError, now), *error);
  }
  auto& messages = std::get<std::vector<std::string>>(answers);
  std::vector<Reply> replies;
  const std::vector<RequestId> waiting = dispatcher_.complete(batch, now);
  replies.reserve(waiting.size());
  std::size_t next = 0;
  const MutexLock lock(mutex_);
  for (const RequestId id : waiting) {
    // Both lists are in the batch's order, and the first is part of the second.
    while (carried.ids[next] != id) ++next;
    PayloadSlots::Freed freed = slots_.free(id);  // NOLINT(misc-const-correctness): its payload is moved on
    replies.push_back({.request = id,
                       .caller = freed.caller,
                       .payload = std::move(freed.payload),
                       .message = std::move(messages[next]),
                       .outcome = Outcome::kAnswered,
                       .detail = {}});
  }
  return replies;
}

std::vector<Reply> Endpoint::State::fail(BatchId batch, Failure failure, std::string_view detail, TimeNs now) {
  unload(batch);
  return replies_to(dispatcher_.fail(batch, failure, now), detail);
}

bool Endpoint::State::cancel(RequestId request, TimeNs now) {
  if (!dispatcher_.cancel(request, now)) return false;
  free(request);
  return true;
}

std::vector<Reply> Endpoint::State::worker_down(WorkerId worker, TimeNs now) {
  // Asked before: as soon as the dispatcher lets the worker go, another thread may bring it up again and send it more.
  const std::vector<BatchId> lost = carried_by(worker);
  auto replies = replies_to(dispatcher_.worker_down(worker, now), {});
  const MutexLock lock(mutex_);
  for (const BatchId batch : lost) carried_.erase(batch);
  return replies;
}

void Endpoint::State::retune(const DispatcherParams& params, TimeNs now) {
  dispatcher_.retune(params, now);
  priority_default_ = params.priority_default;
}

std::vector<BatchId> Endpoint::State::carried_by(WorkerId worker) const {
  std::vector<BatchId> batches;
  const MutexLock lock(mutex_);
  for (const auto& [batch, carried] : carried_) {
    if (carried.worker == worker) batches.push_back(batch);
  }
  return batches;
}

Endpoint::State::Carried Endpoint::State::unload(BatchId batch) {
  const MutexLock lock(mutex_);
  const auto node = carried_.extract(batch);
  return node.empty() ? Carried{} : std::move(node.mapped());
}

void Endpoint::State::free(RequestId request) {
  PayloadSlots::Freed freed;  // let go of once the mutex is free again
  const MutexLock lock(mutex_);
  freed = slots_.free(request);
}

std::vector<Reply> Endpoint::State::replies_to(const std::vector<Drop>& drops, std::string_view detail) {
  std::vector<Reply> replies;
  if (drops.empty()) return replies;
  replies.reserve(drops.size());
  const MutexLock lock(mutex_);
  for (const Drop& drop : drops) {
    PayloadSlots::Freed freed = slots_.free(drop.request);
    replies.push_back({.request = drop.request,
                       .caller = freed.caller,
                       .payload = std::move(freed.payload),
                       .message = std::nullopt,
                       .outcome = drop.outcome,
                       .detail = drop.outcome == Outcome::kModelError ? std::string(detail) : std::string()});
  }
  return replies;
}

std::string OutboundBatch::message() const {
  return write_batch(*signature, std::to_string(batch.value), requests_of(*payloads), size);
}

std::vector<Piece> OutboundBatch::message_pieces() const {
  return write_batch_pieces(*signature, std::to_string(batch.value), *payloads, size);
}

Endpoint::Endpoint(ModelSignature signature, const DispatcherParams& params)
    : state_(std::make_unique<State>(std::move(signature), params)) {}
Endpoint::~Endpoint() = default;

std::variant<RequestId, RequestError, Refusal> Endpoint::submit(std::string_view message, TimeNs deadline, TimeNs now,
                                                                std::uint64_t caller,
                                                                const std::shared_ptr<RequestTrace>& trace) {
  return state_->submit(message, deadline, now, caller, trace);
}
EndpointDecisions Endpoint::poll(TimeNs now) { return state_->poll(now); }
std::optional<TimeNs> Endpoint::next_wakeup() const { return state_->dispatcher().next_wakeup(); }
std::vector<Reply> Endpoint::complete(BatchId batch, std::string_view response, TimeNs now) {
  return state_->complete(batch, now, [&](const auto& signature, const auto& requests, int size) {
    return split_response(response, signature, requests, size);
  });
}
std::vector<Reply> Endpoint::complete(BatchId batch, const std::vector<TensorView>& outputs, TimeNs now) {
  return state_->complete(batch, now, [&](const auto& signature, const auto& requests, int size) {
    return split_outputs(outputs, signature, requests, size);
  });
}
std::vector<Reply> Endpoint::fail(BatchId batch, Failure failure, std::string_view detail, TimeNs now) {
  return state_->fail(batch, failure, detail, now);
}
bool Endpoint::cancel(RequestId request, TimeNs now) { return state_->cancel(request, now); }
void Endpoint::worker_up(WorkerId worker, const WorkerSpec& spec, TimeNs now) {
  state_->dispatcher().worker_up(worker, spec, now);
}
void Endpoint::worker_drain(WorkerId worker) { state_->dispatcher().worker_drain(worker); }
bool Endpoint::worker_busy(WorkerId worker) const { return state_->dispatcher().worker_busy(worker); }
std::vector<Reply> Endpoint::worker_down(WorkerId worker, TimeNs now) { return state_->worker_down(worker, now); }
void Endpoint::retune(const DispatcherParams& params, TimeNs now) { state_->retune(params, now); }
void Endpoint::shed(double share) { state_->dispatcher().shed(share); }
DurationNs Endpoint::backlog(TimeNs now) const { return state_->dispatcher().backlog(now); }
Statistics Endpoint::statistics() const { return state_->dispatcher().statistics(); }
const ModelSignature& Endpoint::signature() const { return state_->signature(); }

}  // namespace mark::net
