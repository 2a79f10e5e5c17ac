// Traces on the native path: read from a client's headers, noted on the way, passed on to the worker.
#include <doctest/doctest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "http2_client.h"
#include "net/rpc/model_server.h"
#include "net/rpc/worker_link.h"
#include "rpc/path_cases.h"
#include "rpc/scripted_peer.h"

namespace mark::net {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kInfer = "/inference.GRPCInferenceService/ModelInfer";
constexpr WorkerId kWorker{1};
constexpr std::string_view kTrace = "0af7651916cd43dd8448eb211c80319c";
constexpr const char* kParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

std::string name_of(SpanName name) {
  switch (name) {
    case SpanName::kRequest:
      return "request";
    case SpanName::kQueue:
      return "queue";
    case SpanName::kBatch:
      return "batch";
    case SpanName::kCompute:
      return "compute";
    case SpanName::kFunction:
      break;
  }
  return "function";
}

std::shared_ptr<Tracer> tracer_of(double share) {
  return std::make_shared<Tracer>(TracerParams{.share = share, .lanes = 2, .seed = 7});
}

// One model behind one ingress thread, which the test itself is.
class TracedPath {
 public:
  FakeCarrier& add_worker() {
    auto carrier = std::make_unique<FakeCarrier>(calls.loop());
    FakeCarrier& added = *carrier;
    path.add_worker(kWorker, std::move(carrier), path_worker());
    until([this] { return path.ready_workers() > 0; });
    return added;
  }
  CallId ask(std::string message = path_request(), const std::string& parent = kParent) {
    const CallId call = calls.next_call();
    auto headers = std::make_unique<TraceHeaders>(TraceHeaders{.parent = parent, .state = {}});
    ingress.on_call(calls, {.id = call,
                            .message = std::move(message),
                            .deadline = calls.loop().now() + 10s,
                            .trace_headers = std::move(headers)});
    return call;
  }
  void until(const std::function<bool()>& reached) {
    calls.loop().post([] {});
    calls.loop().run_until(reached);
  }
  void until_ended(CallId call) {
    until([&] { return calls.ended.contains(call.value); });
  }
  // Of the spans that have ended since: "name status".
  std::vector<std::string> ended() {
    std::vector<std::string> told;
    for (const Span& span : tracer->take()) told.push_back(name_of(span.name) + " " + span.status);
    return told;
  }

  FakeCalls calls;
  Notices notices;
  std::shared_ptr<Tracer> tracer = tracer_of(0.0);
  Ingress ingress{{&calls}, notices, tracer};
  RequestPath& path = ingress.add_model(path_params());
};

TEST_CASE_FIXTURE(TracedPath, "a request that is answered: queue, batch, request") {
  add_worker();
  until_ended(ask());
  CHECK(ended() == std::vector<std::string>{"queue OK", "batch OK", "request OK"});
}

TEST_CASE_FIXTURE(TracedPath, "a request that is not sampled leaves nothing") {
  add_worker();
  std::string unsampled = kParent;
  unsampled.back() = '0';
  until_ended(ask(path_request(), unsampled));
  until_ended(ask(path_request(), {}));
  CHECK(ended().empty());
}

TEST_CASE_FIXTURE(TracedPath, "a request that is refused ends with the status that its client gets") {
  until_ended(ask("\xff"));
  until_ended(ask(path_request(1, "other")));
  until_ended(ask(write_infer_request({"m", "9", ""}, {{"x", Datatype::kInt8, {1}, "\1"}}, {})));
  CHECK(ended() == std::vector<std::string>{"request INVALID_ARGUMENT", "request NOT_FOUND", "request NOT_FOUND"});
  ingress.drain();
  until_ended(ask());
  CHECK(ended() == std::vector<std::string>{"request UNAVAILABLE"});
}

TEST_CASE_FIXTURE(TracedPath, "a client that leaves ends its request, and the batch goes on") {
  FakeCarrier& worker = add_worker();
  worker.holds = true;
  const CallId left = ask();
  until([&] { return !worker.held.empty(); });
  ingress.on_cancelled(calls, left);
  CHECK(ended() == std::vector<std::string>{"queue OK", "request CANCELLED"});
  worker.release();
  CHECK(ended() == std::vector<std::string>{"batch OK"});
}

TEST_CASE_FIXTURE(TracedPath, "a request whose worker is lost is in the queue again, and in another batch") {
  FakeCarrier& worker = add_worker();
  worker.answer = [&worker](const OutboundBatch& /*batch*/) {
    worker.answer = FakeCarrier::echo;
    return BatchResult{.kind = BatchResult::Kind::kLinkFailed, .text = "gone"};
  };
  until_ended(ask());
  CHECK(ended() == std::vector<std::string>{"queue OK", "batch UNAVAILABLE", "queue OK", "batch OK", "request OK"});
}

TEST_CASE_FIXTURE(TracedPath, "a model that fails twice ends the request, which was not queued for that") {
  FakeCarrier& worker = add_worker();
  worker.answer = [](const OutboundBatch& /*batch*/) {
    return BatchResult{.kind = BatchResult::Kind::kModelError, .text = "wrong"};
  };
  until_ended(ask());
  CHECK(ended().back() == "request INTERNAL");
}

TEST_CASE_FIXTURE(TracedPath, "a worker that is removed lets its batch go") {
  add_worker().holds = true;
  const CallId call = ask();
  until([&] { return path.statistics().in_flight_requests > 0; });
  path.remove_worker(kWorker);
  path.close();
  until_ended(call);
  CHECK(ended() == std::vector<std::string>{"queue OK", "batch UNAVAILABLE", "request UNAVAILABLE"});
}

TEST_CASE("a request that is given up takes its trace along, to who answers it") {
  FakeCalls calls;
  Notices notices;
  const auto tracer = tracer_of(1.0);
  Ingress ingress({&calls}, notices, tracer);
  RequestPathParams params = path_params(/*bursts=*/true);
  params.dispatcher.queue_requests_max = 1;
  ingress.add_model(std::move(params));
  ingress.on_call(calls, {.id = calls.next_call(), .message = path_request(), .deadline = {}});
  ingress.on_call(calls, {.id = calls.next_call(), .message = path_request(), .deadline = {}});
  std::vector<Notice> told = notices.take();
  REQUIRE(told.size() == 1);
  const auto& given_up = std::get<GivenUpRequest>(told[0].what);
  REQUIRE(given_up.trace != nullptr);
  CHECK(tracer->take().empty());
  ingress.answer(given_up.ticket, "answer");
  calls.loop().run_until([&] { return !calls.ended.empty(); });
  REQUIRE(tracer->take().size() == 1);
}

TEST_CASE("a link passes the trace on to the worker, and only that of a sampled batch") {
  EventLoop loop;
  std::vector<ScriptedPeer::Request> seen;
  const ScriptedPeer peer(loop, "127.0.0.1:0", [&](const ScriptedPeer::Request& request) {
    seen.push_back(request);
    ScriptedPeer::answer(request, "");
  });
  WorkerLink link(loop, {.address = peer.address(), .model = "m", .version = "1", .tls = nullptr});
  const auto tracer = tracer_of(0.0);
  const TraceHeaders headers{.parent = kParent, .state = "a=1"};
  for (const bool traced : {true, false}) {
    OutboundBatch batch{.batch = {},
                        .worker = {},
                        .signature = std::make_shared<const ModelSignature>(path_params().signature),
                        .payloads = std::make_shared<const std::vector<Payload>>(
                            std::vector<Payload>{std::make_shared<const InferRequest>(
                                InferRequest{.id = "", .rows = 1, .inputs = {{{1}, "x"}}, .outputs = {}})}),
                        .predicted_finish = {},
                        .earliest_deadline = {}};
    if (traced) {
      batch.trace = std::make_shared<BatchTrace>(
          SpanName::kBatch, std::vector{tracer->begin(0, &headers, "m", steady_now())}, BatchFacts{});
      batch.trace->sent(peer.address(), steady_now());
    }
    bool done = false;
    link.send(batch, 5s, [&done](const BatchResult& /*result*/) { done = true; });
    run_until(loop, [&done] { return done; });
  }
  REQUIRE(seen.size() == 2);
  const std::vector<Span> spans = tracer->take();  // the batch, that its only holder has let go
  REQUIRE(spans.size() == 1);
  CHECK(spans[0].is_call);
  CHECK(seen[0].headers.at("traceparent") == headers_of(spans[0].context).parent);
  CHECK(seen[0].headers.at("tracestate") == "a=1");
  CHECK_FALSE(seen[1].headers.contains("traceparent"));
}

TEST_CASE("a model behind a server continues the trace of its client, from any thread") {
  const auto tracer = tracer_of(0.0);
  const ModelSignature signature{"m", "1", {{"x", Datatype::kInt8, {-1}}}, {{"y", Datatype::kInt8, {-1}}}, 4};
  GrpcServerParams params;
  params.address = "127.0.0.1:0";
  params.threads = 2;
  ModelServer server(signature, params, tracer);
  server.start();
  std::thread model([&server] {
    while (const auto taken = server.take()) {
      if (taken->batch.trace) taken->batch.trace->computed(steady_now(), steady_now());
      server.complete(*taken, {{"y", Datatype::kInt8, {taken->batch.rows}, std::string_view("\1\1\1\1", 1)}});
    }
  });
  {
    LoopThread client_loop;
    TestClient client(client_loop, server.address());
    TestClient other(client_loop, server.address());
    CHECK(client.call(kInfer, path_request(), {{"traceparent", kParent}, {"tracestate", "a=1"}}).status() == "0");
    CHECK(other.call(kInfer, path_request(), {{"traceparent", kParent}}).status() == "0");
    CHECK(other.call(kInfer, path_request()).status() == "0");
  }
  server.stop();
  model.join();
  const std::vector<Span> spans = tracer->take();
  CHECK(spans.size() == 8);  // for each of two: queue, compute, batch, request
  for (const Span& span : spans) CHECK(headers_of(span.context).parent.substr(3, 32) == kTrace);
}

}  // namespace
}  // namespace mark::net
