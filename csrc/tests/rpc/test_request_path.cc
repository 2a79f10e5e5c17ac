// Every end that a call may have on the native request path, and the lives of the workers behind it.
#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "net/rpc/request_path.h"
#include "rpc/path_cases.h"

namespace mark::net {
namespace {

using namespace std::chrono_literals;
using Kind = BatchResult::Kind;

constexpr WorkerId kWorker{1};
constexpr WorkerId kOther{2};

// That it cannot answer within a second is known on arrival, which is within that second on a busy machine, too.
WorkerSpec slow_worker() { return {.profile = LatencyProfile{{{1, 2s}, {8, 3s}}}, .rows_max = 8}; }

// One model behind one ingress thread, which the test itself is.
class OnePath {
 public:
  explicit OnePath(RequestPathParams params = path_params()) : path(ingress.add_model(std::move(params))) {}

  FakeCarrier& add(WorkerId worker, bool ready = true, const WorkerSpec& spec = path_worker()) {
    auto carrier = std::make_unique<FakeCarrier>(calls.loop(), ready);
    FakeCarrier& added = *carrier;
    path.add_worker(worker, std::move(carrier), spec);
    return added;
  }
  FakeCarrier& add_ready(WorkerId worker, const WorkerSpec& spec = path_worker()) {
    const int before = path.ready_workers();
    FakeCarrier& added = add(worker, true, spec);
    until([&] { return path.ready_workers() > before; });
    return added;
  }
  CallId ask(std::optional<DurationNs> within = std::nullopt, std::string message = path_request()) {
    const CallId call = calls.next_call();
    std::optional<TimeNs> deadline;
    if (within) deadline = calls.loop().now() + *within;
    ingress.on_call(calls, {.id = call, .message = std::move(message), .deadline = deadline});
    return call;
  }
  void until(const std::function<bool()>& reached) {
    // Looked at after a turn: there must be one.
    calls.loop().post([] {});
    calls.loop().run_until(reached);
  }
  GrpcStatus end_of(CallId call) {
    until([&] { return calls.ended.contains(call.value); });
    return calls.ended.at(call.value);
  }
  // The notices of one kind; the others are forgotten.
  template <class What>
  std::vector<What> told() {
    std::vector<What> found;
    for (Notice& notice : notices.take()) {
      if (auto* what = std::get_if<What>(&notice.what)) found.push_back(std::move(*what));
    }
    return found;
  }

  FakeCalls calls;
  Notices notices;
  Ingress ingress{{&calls}, notices};
  RequestPath& path;
};

char value_of(const GrpcStatus& answer) {
  REQUIRE(answer.code == StatusCode::kOk);
  return std::get<InferResponse>(parse_infer_response(answer.message)).outputs.at(0).raw.at(0);
}

std::string pushback_of(const GrpcStatus& status) {
  return status.metadata.empty() ? "none" : status.metadata.at(0).second;
}

TEST_CASE_FIXTURE(OnePath, "calls of one turn are batched together, and each gets its own answer") {
  const FakeCarrier& worker = add_ready(kWorker);
  std::vector<CallId> asked;
  asked.reserve(8);
  for (char value = 0; value < 8; ++value) asked.push_back(ask(std::nullopt, path_request(value)));
  for (char value = 0; value < 8; ++value) CHECK(value_of(end_of(asked[static_cast<std::size_t>(value)])) == value);
  CHECK(worker.rows == std::vector<int>{8});
  CHECK(calls.twice == 0);
}

TEST_CASE_FIXTURE(OnePath, "a request waits for the first worker") {
  FakeCarrier& worker = add(kWorker, false);
  const CallId call = ask();
  CHECK(path.ready_workers() == 0);
  worker.become_ready();
  CHECK(value_of(end_of(call)) == 1);
  CHECK(told<WorkerReady>().size() == 1);
}

TEST_CASE_FIXTURE(OnePath, "bad requests end at the door, in the words of the codec") {
  CHECK(end_of(ask(std::nullopt, "\xff")).code == StatusCode::kInvalidArgument);
  const GrpcStatus unknown = end_of(ask(std::nullopt, path_request(1, "other")));
  CHECK(unknown.code == StatusCode::kNotFound);
  CHECK(unknown.message == "model_name: unknown model 'other'; served are m");
  const std::string of_version = write_infer_request({"m", "9", ""}, {{"x", Datatype::kInt8, {1}, "\1"}}, {});
  CHECK(end_of(ask(std::nullopt, of_version)).code == StatusCode::kNotFound);
  const std::string many = write_infer_request({"m", "", ""}, {{"x", Datatype::kInt8, {9}, std::string(9, '\1')}}, {});
  CHECK(end_of(ask(std::nullopt, many)).code == StatusCode::kInvalidArgument);
}

TEST_CASE_FIXTURE(OnePath, "what cannot be answered in time is refused at once, with a pushback") {
  add_ready(kWorker, slow_worker()).holds = true;
  const GrpcStatus late = end_of(ask(0ns));
  CHECK(late.code == StatusCode::kDeadlineExceeded);
  CHECK(late.message == "the deadline had passed on arrival");
  const GrpcStatus missed = end_of(ask(1s));
  CHECK(missed.code == StatusCode::kResourceExhausted);
  CHECK(missed.message.starts_with("no worker can answer before the deadline; "));
  CHECK(pushback_of(missed) == "-1");
}

TEST_CASE("a full queue says how long to wait") {
  RequestPathParams params = path_params();
  params.dispatcher.queue_requests_max = 1;
  OnePath one(std::move(params));
  const CallId queued = one.ask();
  const GrpcStatus refused = one.end_of(one.ask());
  CHECK(refused.code == StatusCode::kResourceExhausted);
  CHECK(refused.message == "the queue is full; try again in 5000 ms, or allow more time");
  CHECK(pushback_of(refused) == "5000");
  one.add(kWorker);
  CHECK(value_of(one.end_of(queued)) == 1);
}

TEST_CASE_FIXTURE(OnePath, "a request expires by the smaller of its own deadline and rt_max, by the timer alone") {
  const GrpcStatus expired = end_of(ask(300ms));
  CHECK(expired.code == StatusCode::kDeadlineExceeded);
  CHECK(expired.message == "the deadline passed before a worker answered");
  RequestPathParams params = path_params();
  params.dispatcher.rt_max = 300ms;
  OnePath short_one(std::move(params));
  CHECK(short_one.end_of(short_one.ask(1h)).code == StatusCode::kDeadlineExceeded);
}

TEST_CASE_FIXTURE(OnePath, "a model error is the request's own, in the words of the worker") {
  FakeCarrier& worker = add_ready(kWorker);
  worker.answer = [](const OutboundBatch&) { return BatchResult{.kind = Kind::kModelError, .text = "boom \xff"}; };
  const GrpcStatus failed = end_of(ask());
  CHECK(failed.code == StatusCode::kInternal);
  CHECK(failed.message == "boom \\xff");
  worker.answer = [](const OutboundBatch&) { return BatchResult{.kind = Kind::kAnswered, .text = "\xff"}; };
  CHECK(end_of(ask()).message.starts_with("the worker's response: "));
}

TEST_CASE_FIXTURE(OnePath, "a lost worker's requests are tried once elsewhere, and it is asked again at once") {
  FakeCarrier& first = add_ready(kWorker);
  first.answer = [](const OutboundBatch&) { return BatchResult{.kind = Kind::kLinkFailed, .text = "gone"}; };
  const CallId call = ask();
  until([&] { return first.asked == 2; });
  first.answer = FakeCarrier::echo;
  CHECK(value_of(end_of(call)) == 1);
  const auto lost = told<BatchLost>();
  REQUIRE(lost.size() == 1);
  CHECK(lost[0].requests == 1);
  CHECK(lost[0].why == "gone");
}

TEST_CASE_FIXTURE(OnePath, "a request that loses its second worker is unavailable") {
  add_ready(kWorker).answer = [](const OutboundBatch&) {
    return BatchResult{.kind = Kind::kLinkFailed, .text = "gone"};
  };
  const GrpcStatus lost = end_of(ask());
  CHECK(lost.code == StatusCode::kUnavailable);
  CHECK(lost.message == "the worker was lost, and so was the retry; safe to send again");
}

TEST_CASE_FIXTURE(OnePath, "a worker that hangs twice in a row is reported, and left alone for a while") {
  FakeCarrier& worker = add_ready(kWorker);
  worker.answer = [](const OutboundBatch&) { return BatchResult{.kind = Kind::kHung, .text = "late"}; };
  const CallId call = ask();
  until([&] { return path.ready_workers() == 0; });
  CHECK(worker.timeouts.at(0) == 7s);  // rt_max and two more
  CHECK(!path.workers(0ns).at(0).hung);
  CHECK(worker.asked == 1);
  until([&] { return worker.asked == 2; });
  CHECK(end_of(call).code == StatusCode::kUnavailable);
  until([&] { return path.workers(0ns).at(0).hung; });
}

TEST_CASE_FIXTURE(OnePath, "batches of a life that is over say nothing") {
  FakeCarrier& worker = add_ready(kWorker);
  worker.holds = true;
  std::vector<CallId> asked;
  asked.reserve(16);
  for (int i = 0; i < 16; ++i) asked.push_back(ask());
  until([&] { return !worker.held.empty(); });
  const FakeCarrier::Held old = worker.held.at(0);
  old.done({.kind = Kind::kLinkFailed, .text = "gone"});
  until([&] { return path.ready_workers() == 1 && !worker.held.empty(); });
  old.done({.kind = Kind::kLinkFailed, .text = "gone again"});
  CHECK(told<BatchLost>().size() == 1);
  worker.holds = false;
  until([&] {
    worker.release();
    return calls.count() == asked.size();
  });
  for (const CallId call : asked) CHECK(value_of(end_of(call)) == 1);
}

TEST_CASE_FIXTURE(OnePath, "a cancelled call leaves the queue, or hears nothing of its batch") {
  const CallId queued = ask();
  ingress.on_cancelled(calls, queued);
  FakeCarrier& worker = add_ready(kWorker);
  worker.holds = true;
  const CallId sent = ask();
  until([&] { return !worker.held.empty(); });
  ingress.on_cancelled(calls, sent);
  ingress.on_cancelled(calls, sent);  // it is nobody's any more
  worker.release();
  worker.holds = false;
  CHECK(value_of(end_of(ask())) == 1);
  CHECK(calls.count() == 1);
  CHECK(path.statistics().ended[static_cast<std::size_t>(Outcome::kCancelled)] == 2);
}

TEST_CASE_FIXTURE(OnePath, "a worker drains: what it has is answered, what comes waits for another") {
  FakeCarrier& first = add_ready(kWorker);
  first.holds = true;
  bool closed = false;
  first.closed = [&] { closed = true; };
  const CallId in_flight = ask();
  until([&] { return !first.held.empty(); });
  path.drain_worker(kWorker);
  CHECK(path.ready_workers() == 0);
  const CallId later = ask();
  until([] { return true; });
  CHECK(told<WorkerGone>().empty());
  first.release();
  CHECK(value_of(end_of(in_flight)) == 1);
  CHECK(closed);
  CHECK(told<WorkerGone>().size() == 1);
  add(kOther);
  CHECK(value_of(end_of(later)) == 1);
  path.drain_worker(kWorker);
  CHECK(told<WorkerGone>().size() == 1);  // it was gone already
}

TEST_CASE_FIXTURE(OnePath, "a removed worker's batch is tried elsewhere, and a drain that waited for it ends") {
  FakeCarrier& first = add_ready(kWorker);
  first.holds = true;
  const CallId call = ask();
  until([&] { return !first.held.empty(); });
  path.drain_worker(kWorker);
  path.remove_worker(kWorker);
  CHECK(told<WorkerGone>().size() == 2);
  CHECK(path.workers(0ns).empty());
  add(kOther);
  CHECK(value_of(end_of(call)) == 1);
}

TEST_CASE_FIXTURE(OnePath, "a draining server refuses what comes and tells when all is answered") {
  FakeCarrier& worker = add_ready(kWorker);
  worker.holds = true;
  const CallId before = ask();
  until([&] { return !worker.held.empty(); });
  ingress.drain();
  const GrpcStatus refused = end_of(ask());
  CHECK(refused.code == StatusCode::kUnavailable);
  CHECK(refused.message == "the server stops; send to another one");
  CHECK(told<AllAnswered>().empty());
  worker.release();
  CHECK(value_of(end_of(before)) == 1);
  CHECK(told<AllAnswered>().size() == 1);
}

TEST_CASE_FIXTURE(OnePath, "a path that closes ends what waits") {
  FakeCarrier& worker = add_ready(kWorker);
  worker.holds = true;
  const CallId sent = ask();
  until([&] { return !worker.held.empty(); });
  const CallId queued = ask();
  path.close();
  for (const CallId call : {sent, queued}) {
    CHECK(end_of(call).code == StatusCode::kUnavailable);
    CHECK(end_of(call).message == "the server stops");
  }
  CHECK(told<PathClosed>().size() == 1);
  CHECK(path.workers(0ns).empty());
}

TEST_CASE_FIXTURE(OnePath, "parameters change while requests wait") {
  DispatcherParams params = path_params().dispatcher;
  params.queue_requests_max = 1;
  path.retune(params);
  ask();
  CHECK(end_of(ask()).code == StatusCode::kResourceExhausted);
  params.rt_max = 1s;
  CHECK_THROWS_AS(path.retune(params), std::invalid_argument);
}

TEST_CASE("what is given up can be answered by somebody else, until its client leaves") {
  OnePath one(path_params(true));
  one.add_ready(kWorker, slow_worker()).answer = [](const OutboundBatch&) {
    return BatchResult{.kind = Kind::kModelError, .text = "boom"};
  };
  const CallId answered = one.ask(1s);
  const CallId refused = one.ask(0ns);
  const CallId left = one.ask(1s);
  auto given_up = one.told<GivenUpRequest>();
  REQUIRE(given_up.size() == 3);
  CHECK(given_up[0].message == path_request());
  CHECK(given_up[0].outcome == Outcome::kPredictedMiss);
  CHECK(given_up[0].deadline - given_up[0].arrived == 1s);
  CHECK(given_up[1].outcome == Outcome::kExpired);
  one.ingress.answer(given_up[0].ticket, "answer");
  one.ingress.end(given_up[1].ticket, given_up[1].end);
  CHECK(one.end_of(answered).message == "answer");
  CHECK(one.end_of(refused).message == "the deadline had passed on arrival");
  one.ingress.on_cancelled(one.calls, left);
  CHECK(one.told<GivenUpLeft>().at(0).ticket.call == given_up[2].ticket.call);
  one.ingress.answer(given_up[2].ticket, "too late");
  // What a model has failed on is not given to others.
  CHECK(one.end_of(one.ask()).message == "boom");
  CHECK(!one.calls.ended.contains(left.value));
  CHECK(one.calls.twice == 0);
}

TEST_CASE("a dropped request is given up with its message, once no worker can take it") {
  OnePath one(path_params(true));
  const CallId call = one.ask(20ms);
  std::vector<GivenUpRequest> given_up;
  one.until([&] {
    for (auto& each : one.told<GivenUpRequest>()) given_up.push_back(std::move(each));
    return !given_up.empty();
  });
  CHECK(given_up[0].message == path_request());
  CHECK(given_up[0].outcome == Outcome::kExpired);
  CHECK(!one.calls.ended.contains(call.value));
}

// An ingress thread that keeps some calls in flight, and cancels some of them.
class Client {
 public:
  Client(FakeCalls& calls, Ingress& ingress, unsigned seed) : calls_(calls), ingress_(ingress), seed_(seed) {}

  void start(int calls) {
    left_ = calls;
    calls_.loop().post([this] { turn(); });
  }
  int cancelled() const { return cancelled_; }

 private:
  void turn() {
    // No more than the queue holds for all of them, however long another thread is kept from running.
    for (int i = 0; i < 8 && left_ > 0 && in_flight() < 64; ++i, --left_) {
      const CallId call = calls_.next_call();
      ++started_;
      ingress_.on_call(calls_, {.id = call, .message = path_request(), .deadline = std::nullopt});
      seed_ = seed_ * 1103515245U + 12345U;
      if (seed_ % 5 == 0 && !calls_.ended.contains(call.value)) {
        ingress_.on_cancelled(calls_, call);
        ++cancelled_;
      }
    }
    calls_.loop().post([this] { turn(); });
  }
  int in_flight() const { return started_ - cancelled_ - static_cast<int>(calls_.count()); }

  FakeCalls& calls_;
  Ingress& ingress_;
  unsigned seed_;
  int left_ = 0;
  int started_ = 0;
  int cancelled_ = 0;
};

TEST_CASE("calls of several threads are each answered once, on their own thread") {
  constexpr int kThreads = 3;
  constexpr int kCalls = 2000;
  std::vector<std::unique_ptr<FakeCalls>> loops;
  std::vector<CallLoop*> pointers;
  for (int i = 0; i < kThreads; ++i) {
    loops.push_back(std::make_unique<FakeCalls>());
    pointers.push_back(loops.back().get());
  }
  Notices notices;
  Ingress ingress(pointers, notices);
  RequestPathParams params = path_params();
  params.dispatcher.rt_max = 1h;  // however slow the threads are, none is refused or dropped
  RequestPath& path = ingress.add_model(std::move(params));
  path.add_worker(kWorker, std::make_unique<FakeCarrier>(loops[0]->loop()), path_worker());
  path.add_worker(kOther, std::make_unique<FakeCarrier>(loops[0]->loop()), path_worker());
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < kThreads; ++i) {
    clients.push_back(
        std::make_unique<Client>(*loops[static_cast<std::size_t>(i)], ingress, 7U + static_cast<unsigned>(i)));
    clients.back()->start(kCalls);
  }
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  std::atomic<int> finished = 0;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      FakeCalls& calls = *loops[static_cast<std::size_t>(i)];
      const Client& client = *clients[static_cast<std::size_t>(i)];
      calls.loop().run_until(
          [&] { return calls.count() + static_cast<std::size_t>(client.cancelled()) >= std::size_t{kCalls}; });
      ++finished;
      calls.loop().run_until([&] { return finished == kThreads; });
    });
  }
  static_cast<void>(path.statistics());
  for (std::thread& thread : threads) thread.join();
  for (const auto& calls : loops) {
    CHECK(calls->twice == 0);
    for (const auto& [call, status] : calls->ended) CHECK(status.code == StatusCode::kOk);
  }
  CHECK(path.statistics().submitted_requests == std::uint64_t{kThreads} * kCalls);
}

}  // namespace
}  // namespace mark::net
