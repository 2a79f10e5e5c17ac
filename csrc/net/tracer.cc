#include "net/tracer.h"

#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <utility>

namespace mark::net {

namespace {

constexpr std::size_t kModelNameMax = 256;  // of a model that is not served, the client's own word
constexpr std::string_view kOk = "OK";

// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014): ids need to differ, not to be
// secret.
std::uint64_t next_random(std::uint64_t& state) {
  state += 0x9e3779b97f4a7c15U;
  std::uint64_t mixed = state;
  mixed = (mixed ^ mixed >> 30U) * 0xbf58476d1ce4e5b9U;
  mixed = (mixed ^ mixed >> 27U) * 0x94d049bb133111ebU;
  return mixed ^ mixed >> 31U;
}

std::uint64_t next_id(std::uint64_t& state) {
  while (true) {
    if (const std::uint64_t id = next_random(state); id != 0) return id;
  }
}

double next_unit(std::uint64_t& state) {
  constexpr unsigned kDropped = 64 - 53;  // what a double has no room for
  return static_cast<double>(next_random(state) >> kDropped) * 0x1p-53;
}

// On the line of the drivers' clock; read only to say when a batch was let go that nobody has ended.
TimeNs monotonic_now() {
  return TimeNs{std::chrono::duration_cast<DurationNs>(std::chrono::steady_clock::now().time_since_epoch())};
}

TraceContext first_of(const std::optional<TraceContext>& parent, std::uint64_t& ids) {
  TraceContext context = parent.value_or(TraceContext{});
  if (!parent) {
    context.trace_high = next_id(ids);
    context.trace_low = next_id(ids);
  }
  context.span = next_id(ids);
  context.is_sampled = true;
  return context;
}

}  // namespace

Tracer::Tracer(const TracerParams& params)
    : share_(params.share), spans_max_(params.spans_max), lanes_(static_cast<std::size_t>(std::max(params.lanes, 0))) {
  if (!(params.share >= 0.0 && params.share <= 1.0)) throw std::invalid_argument("a share lies in [0, 1]");
  if (params.lanes < 1) throw std::invalid_argument("a tracer has at least one lane");
  std::uint64_t seeds = params.seed;
  for (Lane& lane : lanes_) lane.state = next_random(seeds);
}

std::shared_ptr<RequestTrace> Tracer::begin(std::size_t lane, const TraceHeaders* headers, std::string_view model,
                                            TimeNs now) {
  const std::optional<TraceContext> parent = headers == nullptr ? std::nullopt : parse_trace_context(*headers);
  std::uint64_t& random = lanes_.at(lane).state;
  if (parent ? !parent->is_sampled : next_unit(random) >= share_) return nullptr;
  return std::make_shared<RequestTrace>(shared_from_this(), parent, next_random(random), model, now);
}

std::vector<Span> Tracer::take() {
  const MutexLock lock(mutex_);
  return std::exchange(ended_, {});
}

TracerCounts Tracer::counts() const {
  const MutexLock lock(mutex_);
  return counts_;
}

void Tracer::keep(Span span) {
  const MutexLock lock(mutex_);
  if (span.name == SpanName::kRequest) ++counts_.requests;
  if (ended_.size() >= spans_max_) {
    ++counts_.spans_dropped;
    return;
  }
  ended_.push_back(std::move(span));
}

// --- a request

RequestTrace::RequestTrace(std::shared_ptr<Tracer> tracer, const std::optional<TraceContext>& parent,
                           std::uint64_t seed, std::string_view model, TimeNs now)
    : tracer_(std::move(tracer)),
      model_(model.substr(0, kModelNameMax)),
      parent_(parent ? parent->span : 0),
      ids_(seed),
      context_(first_of(parent, ids_)),
      began_(now) {}

void RequestTrace::queued(TimeNs now) {
  const MutexLock lock(mutex_);
  queued_ = now;
}

void RequestTrace::refused() {
  const MutexLock lock(mutex_);
  queued_.reset();
}

TraceContext RequestTrace::child_locked() {
  TraceContext context = context_;
  context.span = next_id(ids_);
  return context;
}

TraceContext RequestTrace::child() {
  const MutexLock lock(mutex_);
  return child_locked();
}

void RequestTrace::keep_queue(TimeNs began, TimeNs ended) {
  Span span;
  span.name = SpanName::kQueue;
  span.context = child_locked();
  span.parent = context_.span;
  span.began = began;
  span.ended = std::max(began, ended);
  span.facts.model = model_;
  tracer_->keep(std::move(span));
}

void RequestTrace::taken_by(const TraceContext& batch, TimeNs now) {
  const MutexLock lock(mutex_);
  if (ended_) return;
  if (queued_) keep_queue(*queued_, now);
  queued_.reset();
  batches_.push_back(batch);
}

void RequestTrace::given_back(TimeNs now) {
  const MutexLock lock(mutex_);
  queued_ = now;
}

void RequestTrace::end(std::string_view status, std::string_view message, TimeNs now) {
  const MutexLock lock(mutex_);
  if (std::exchange(ended_, true)) return;
  // One whose batch failed, and which ends for that, was not queued once more.
  const bool is_failure = status == "INTERNAL" || status == "UNAVAILABLE";
  if (queued_ && (batches_.empty() || !is_failure)) keep_queue(*queued_, now);
  Span span;
  span.context = context_;
  span.parent = parent_;
  span.is_parent_remote = parent_ != 0;
  span.began = began_;
  span.ended = std::max(began_, now);
  span.links = std::move(batches_);
  span.status = status;
  span.message = message;
  span.facts.model = model_;
  tracer_->keep(std::move(span));
}

// --- a batch

BatchTrace::BatchTrace(SpanName name, std::vector<std::shared_ptr<RequestTrace>> requests, BatchFacts facts)
    : requests_(std::move(requests)) {
  if (requests_.empty()) throw std::invalid_argument("a batch is traced for the sake of its requests");
  RequestTrace& first = *requests_.front();
  span_.name = name;
  span_.context = first.child();
  span_.parent = first.context().span;
  span_.links.reserve(requests_.size());
  for (const auto& request : requests_) span_.links.push_back(request->context());
  span_.facts = std::move(facts);
  if (span_.facts.model.empty()) span_.facts.model = first.model_;
}

BatchTrace::~BatchTrace() { end("UNAVAILABLE", "whoever carried it has let it go", monotonic_now()); }

void BatchTrace::sent(std::string_view worker, TimeNs now) {
  const MutexLock lock(mutex_);
  sent_ = true;
  span_.worker = worker;
  span_.began = now;
  for (const auto& request : requests_) request->taken_by(span_.context, now);
}

TraceHeaders BatchTrace::call_headers() {
  const MutexLock lock(mutex_);
  span_.is_call = true;
  return headers_of(span_.context);
}

void BatchTrace::computed(TimeNs began, TimeNs ended) {
  const MutexLock lock(mutex_);
  Span span;
  span.name = SpanName::kCompute;
  span.context = requests_.front()->child();
  span.parent = span_.context.span;
  span.began = began;
  span.ended = std::max(began, ended);
  span.facts = span_.facts;
  requests_.front()->tracer_->keep(std::move(span));
}

void BatchTrace::end(std::string_view status, std::string_view message, TimeNs now) {
  const MutexLock lock(mutex_);
  if (std::exchange(ended_, true) || !sent_) return;
  span_.ended = std::max(span_.began, now);
  span_.status = status;
  span_.message = message;
  if (status != kOk && span_.name == SpanName::kBatch) {
    for (const auto& request : requests_) request->given_back(now);
  }
  requests_.front()->tracer_->keep(std::move(span_));
}

}  // namespace mark::net
