#include "net/rpc/request_path.h"

#include <algorithm>
#include <limits>
#include <utility>
#include <variant>

#include "net/rpc/end_status.h"
#include "net/rpc/trace_notes.h"

namespace mark::net {

namespace {

constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

// A reply finds its call by the call's loop and slot. That the slot is not another call's by then, the request tells.
constexpr std::uint64_t caller_of(std::size_t loop, CallId call) {
  return static_cast<std::uint64_t>(loop) << 32U | call.slot();
}
constexpr std::size_t loop_of(std::uint64_t caller) { return static_cast<std::size_t>(caller >> 32U); }
constexpr std::uint32_t slot_of(std::uint64_t caller) { return static_cast<std::uint32_t>(caller); }

}  // namespace

RequestPath::RequestPath(RequestPathParams params, PendingCalls& calls, Notices& notices)
    : number_(params.number),
      bursts_(params.bursts),
      rt_max_(params.dispatcher.rt_max),
      calls_(calls),
      notices_(notices),
      home_(calls.loop(0).loop()),
      endpoint_(std::move(params.signature), params.dispatcher),
      sender_(home_, endpoint_, rt_max_, *this),
      outbox_(calls.loops()),
      looking_soon_(calls.loops()),
      armed_ns_(kNever) {}

RequestPath::~RequestPath() {
  if (timer_) home_.cancel(*timer_);
}

// --- calls, on their own loops

void RequestPath::submit(std::size_t loop, UnaryCall call, std::shared_ptr<RequestTrace> trace) {
  CallLoop& calls = calls_.loop(loop);
  const TimeNs now = calls.loop().now();
  const TimeNs deadline = std::min(now + rt_max_, call.deadline.value_or(TimeNs::max()));
  const auto admitted = endpoint_.submit(call.message, deadline, now, caller_of(loop, call.id), trace);
  const auto refuse = [&](const RequestEnd& end) {
    note_end(trace, end);
    calls.fail(call.id, status_of(end));
  };
  if (const auto* error = std::get_if<RequestError>(&admitted)) return refuse(end_of(*error));
  const auto* refusal = std::get_if<Refusal>(&admitted);
  if (refusal != nullptr && !bursts_) return refuse(end_of(*refusal));
  PendingCall& pending = calls_.open(loop, call.id, *this);
  pending.arrived = now;
  pending.deadline = deadline;
  pending.trace = std::move(trace);
  if (bursts_) pending.message = std::move(call.message);
  if (refusal != nullptr) return give_up(loop, pending, outcome_of(refusal->admission), end_of(*refusal));
  pending.request = std::get<RequestId>(admitted);
  look_soon(loop);
}

void RequestPath::cancel(std::size_t loop, PendingCall& pending) {
  if (pending.given_up) {
    const GivenUpTicket ticket{.loop = static_cast<std::uint32_t>(loop), .call = pending.call.value};
    notices_.tell({.path = number_, .what = GivenUpLeft{ticket}});
  } else if (endpoint_.cancel(pending.request, steady_now())) {
    look_soon(loop);
  }
  note_left(pending.trace, pending.deadline);
  // Its reply may be on the way; it will find nothing.
  calls_.close(pending);
}

void RequestPath::give_up(std::size_t loop, PendingCall& pending, Outcome outcome, RequestEnd why) {
  pending.given_up = true;
  notices_.tell({.path = number_,
                 .what = GivenUpRequest{.ticket = {static_cast<std::uint32_t>(loop), pending.call.value},
                                        .message = std::move(pending.message),
                                        .arrived = pending.arrived,
                                        .deadline = pending.deadline,
                                        .outcome = outcome,
                                        .end = std::move(why),
                                        .trace = pending.trace}});
}

void RequestPath::answer(std::size_t loop, CallId call, std::string message) {
  PendingCall* const pending = calls_.find(loop, call);
  if (pending == nullptr) return;
  note_answer(pending->trace);
  calls_.close(*pending);
  calls_.loop(loop).reply(call, std::move(message));
}

void RequestPath::end(std::size_t loop, CallId call, const RequestEnd& end) {
  PendingCall* const pending = calls_.find(loop, call);
  if (pending == nullptr) return;
  note_end(pending->trace, end);
  calls_.close(*pending);
  calls_.loop(loop).fail(call, status_of(end));
}

void RequestPath::deliver(std::size_t loop, Reply reply) {
  PendingCall* const pending = calls_.in_slot(loop, slot_of(reply.caller));
  if (pending == nullptr || pending->path != this || pending->request != reply.request) return;
  if (reply.message) return answer(loop, pending->call, *std::move(reply.message));
  const DurationNs backlog =
      reply.outcome == Outcome::kPredictedMiss ? endpoint_.backlog(steady_now()) : DurationNs::zero();
  RequestEnd why = end_of(reply.outcome, reply.detail, backlog);
  // Once a model has failed on a request, it would fail elsewhere, too.
  if (bursts_ && reply.outcome != Outcome::kModelError) {
    give_up(loop, *pending, reply.outcome, std::move(why));
  } else {
    end(loop, pending->call, why);
  }
}

// --- when to poll

void RequestPath::look_soon(std::size_t loop) {
  Flag& soon = looking_soon_[loop];
  if (soon.is_set) return;
  soon.is_set = true;
  calls_.loop(loop).loop().defer([this, loop] {
    looking_soon_[loop].is_set = false;
    if (loop == 0) {
      look();
    } else {
      wake_home();
    }
  });
}

void RequestPath::wake_home() {
  const auto wakeup = endpoint_.next_wakeup();
  if (!wakeup || wakeup->time_since_epoch().count() >= armed_ns_.load() || waking_.exchange(true)) return;
  home_.post([this] {
    waking_ = false;
    look();
  });
}

void RequestPath::look() {
  const auto wakeup = endpoint_.next_wakeup();
  if (!wakeup) return;
  if (*wakeup <= steady_now()) return poll();
  // A timer that fires too early costs one look; moving it back at every submission would cost more.
  const std::int64_t wakeup_ns = wakeup->time_since_epoch().count();
  if (timer_ && armed_ns_.load() <= wakeup_ns) return;
  if (timer_) home_.cancel(*timer_);
  timer_ = home_.call_at(*wakeup, [this] {
    timer_.reset();
    // Before the endpoint is looked at: who makes its wake-up earlier from now on must not count on this timer.
    armed_ns_ = kNever;
    look_soon(0);
  });
  armed_ns_ = wakeup_ns;
}

void RequestPath::poll() {
  EndpointDecisions decided = endpoint_.poll(steady_now());
  for (const OutboundBatch& batch : decided.batches) sender_.send(batch);
  on_replies(std::move(decided.replies));
  look_soon(0);
}

// --- replies, on the home loop

void RequestPath::on_replies(std::vector<Reply> replies) {
  for (Reply& reply : replies) {
    const std::size_t loop = loop_of(reply.caller);
    if (loop == 0) {
      deliver(0, std::move(reply));
    } else {
      outbox_[loop].push_back(std::move(reply));
      if (!sending_soon_) home_.defer([this] { send_replies(); });
      sending_soon_ = true;
    }
  }
}

void RequestPath::send_replies() {
  sending_soon_ = false;
  for (std::size_t loop = 1; loop < outbox_.size(); ++loop) {
    if (outbox_[loop].empty()) continue;
    // Shared, for a task must be copyable.
    const auto replies = std::make_shared<std::vector<Reply>>(std::exchange(outbox_[loop], {}));
    calls_.loop(loop).loop().post([this, loop, replies] {
      for (Reply& reply : *replies) deliver(loop, std::move(reply));
    });
  }
}

// --- workers, on the home loop

void RequestPath::add_worker(WorkerId worker, std::unique_ptr<BatchCarrier> carrier, const WorkerSpec& spec) {
  sender_.add(worker, std::move(carrier), spec);
  refresh_reports();
}

void RequestPath::drain_worker(WorkerId worker) {
  sender_.drain(worker, [this, worker] {
    refresh_reports();
    notices_.tell({.path = number_, .what = WorkerGone{worker}});
  });
  refresh_reports();
}

void RequestPath::remove_worker(WorkerId worker) {
  sender_.remove(worker);
  refresh_reports();
  notices_.tell({.path = number_, .what = WorkerGone{worker}});
}

void RequestPath::probed(WorkerId worker, const std::string& finding) {
  notices_.tell({.path = number_, .what = WorkerProbed{worker, finding}});
}

void RequestPath::on_worker_ready(WorkerId worker) {
  refresh_reports();
  notices_.tell({.path = number_, .what = WorkerReady{worker}});
}

void RequestPath::on_batch_lost(int requests, const std::string& why) {
  notices_.tell({.path = number_, .what = BatchLost{requests, why}});
  // Not now: the worker is taken down only after this.
  home_.defer([this] { refresh_reports(); });
}

void RequestPath::refresh_reports() {
  std::vector<WorkerReport> reports = sender_.reports();
  ready_workers_ = static_cast<int>(std::count_if(
      reports.begin(), reports.end(), [](const WorkerReport& report) { return report.up && !report.draining; }));
  const MutexLock lock(reports_->mutex);
  reports_->latest = std::move(reports);
}

std::vector<WorkerReport> RequestPath::workers(DurationNs patience) {
  std::uint64_t question = 0;
  {
    const MutexLock lock(reports_->mutex);
    question = ++reports_->asked;
  }
  home_.post([this, question] {
    refresh_reports();
    const MutexLock lock(reports_->mutex);
    reports_->answered = std::max(reports_->answered, question);
    reports_->changed.notify_all();
  });
  const MutexLock lock(reports_->mutex);
  reports_->changed.wait_for(reports_->mutex, patience,
                             [&]() REQUIRES(reports_->mutex) { return reports_->answered >= question; });
  return reports_->latest;
}

void RequestPath::retune(const DispatcherParams& params) {
  endpoint_.retune(params, steady_now());
  home_.post([this] { look(); });
}

void RequestPath::shed(double share) { endpoint_.shed(share); }

void RequestPath::close() {
  sender_.remove_all();
  refresh_reports();
  close_calls(0);
  // Told once every loop has closed its calls.
  const auto left = std::make_shared<std::atomic<std::size_t>>(calls_.loops() - 1);
  const auto tell = [this] { notices_.tell({.path = number_, .what = PathClosed{}}); };
  if (calls_.loops() == 1) return tell();
  for (std::size_t loop = 1; loop < calls_.loops(); ++loop) {
    calls_.loop(loop).loop().post([this, loop, left, tell] {
      close_calls(loop);
      if (left->fetch_sub(1) == 1) tell();
    });
  }
}

void RequestPath::close_calls(std::size_t loop) {
  calls_.for_each(loop, [&](PendingCall& pending) {
    if (pending.path != this) return;
    const CallId call = pending.call;
    // Those that were given up are somebody else's, who ends them.
    if (pending.given_up) return;
    endpoint_.cancel(pending.request, steady_now());
    end(loop, call, ended_by_stop());
  });
}

}  // namespace mark::net
