#include "net/rpc/ingress.h"

#include <utility>
#include <variant>

#include "net/rpc/end_status.h"
#include "net/rpc/trace_notes.h"

namespace mark::net {

RequestPath& Ingress::add_model(RequestPathParams params) {
  params.number = static_cast<int>(paths_.size());
  paths_.push_back(std::make_unique<RequestPath>(std::move(params), calls_, notices_));
  RequestPath& path = *paths_.back();
  by_name_[path.signature().name] = &path;
  return path;
}

RequestPath* Ingress::path_of(std::string_view model) const {
  if (paths_.size() == 1 && paths_.front()->signature().name == model) return paths_.front().get();
  const auto found = by_name_.find(model);
  return found == by_name_.end() ? nullptr : found->second;
}

void Ingress::on_call(CallLoop& calls, UnaryCall call) {
  const auto scanned = scan_target(call.message);
  const auto* const error = std::get_if<RequestError>(&scanned);
  const std::string_view model = error == nullptr ? std::get<Target>(scanned).model_name : std::string_view();
  const std::size_t loop = calls_.number_of(calls);
  std::shared_ptr<RequestTrace> trace;
  if (tracer_) trace = tracer_->begin(loop, call.trace_headers.get(), model, calls.loop().now());
  const auto refuse = [&](const RequestEnd& end) {
    note_end(trace, end);
    calls.fail(call.id, status_of(end));
  };
  if (error != nullptr) return refuse(end_of(*error));
  if (draining_.load(std::memory_order_relaxed)) return refuse(refused_for_stop());
  if (RequestPath* const path = path_of(model)) return path->submit(loop, std::move(call), std::move(trace));
  std::vector<std::string> served;
  served.reserve(by_name_.size());
  for (const auto& [name, path] : by_name_) served.push_back(name);
  refuse(unknown_model(model, served));
}

void Ingress::on_cancelled(CallLoop& calls, CallId call) {
  const std::size_t loop = calls_.number_of(calls);
  if (PendingCall* const pending = calls_.find(loop, call)) pending->path->cancel(loop, *pending);
}

void Ingress::drain() {
  if (draining_.exchange(true)) return;
  calls_.tell_when_empty([this] { notices_.tell({.path = 0, .what = AllAnswered{}}); });
}

void Ingress::later(GivenUpTicket ticket, std::function<void(std::size_t, PendingCall&)> then) {
  calls_.loop(ticket.loop).loop().post([this, ticket, then = std::move(then)] {
    if (PendingCall* const pending = calls_.find(ticket.loop, CallId{ticket.call})) then(ticket.loop, *pending);
  });
}

void Ingress::answer(GivenUpTicket ticket, std::string message) {
  // Shared, for a task must be copyable.
  later(ticket, [message = std::make_shared<std::string>(std::move(message))](std::size_t loop, PendingCall& pending) {
    pending.path->answer(loop, pending.call, std::move(*message));
  });
}

void Ingress::end(GivenUpTicket ticket, RequestEnd end) {
  later(ticket,
        [end = std::move(end)](std::size_t loop, PendingCall& pending) { pending.path->end(loop, pending.call, end); });
}

}  // namespace mark::net
