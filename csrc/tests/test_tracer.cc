#include <doctest/doctest.h>

#include <chrono>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "net/endpoint.h"
#include "net/tracer.h"

namespace mark::net {
namespace {

using namespace std::chrono_literals;

constexpr TimeNs kStart{1'000'000'000ns};
const TraceHeaders& sampled() {
  static const TraceHeaders kHeaders{.parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                                     .state = "v=1"};
  return kHeaders;
}
const TraceHeaders& unsampled() {
  static const TraceHeaders kHeaders{.parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", .state = {}};
  return kHeaders;
}

std::shared_ptr<Tracer> tracer_of(double share, std::size_t spans_max = 100) {
  return std::make_shared<Tracer>(TracerParams{.share = share, .lanes = 2, .seed = 7, .spans_max = spans_max});
}

// The spans of a name, in the order in which they ended.
std::vector<Span> named(const std::vector<Span>& spans, SpanName name) {
  std::vector<Span> found;
  for (const Span& span : spans) {
    if (span.name == name) found.push_back(span);
  }
  return found;
}

TEST_CASE("a client's word on sampling counts, and the share where there is none") {
  const auto all = tracer_of(1.0);
  const auto none = tracer_of(0.0);
  CHECK(none->begin(0, &sampled(), "m", kStart) != nullptr);
  CHECK(all->begin(0, &unsampled(), "m", kStart) == nullptr);
  CHECK(all->begin(0, nullptr, "m", kStart) != nullptr);
  CHECK(none->begin(0, nullptr, "m", kStart) == nullptr);
  const TraceHeaders broken{.parent = "00-broken", .state = {}};
  CHECK(all->begin(1, &broken, "m", kStart) != nullptr);
  CHECK(none->begin(1, &broken, "m", kStart) == nullptr);
}

TEST_CASE("of many requests the share is sampled") {
  const auto tracer = tracer_of(0.1);
  int sampled = 0;
  for (int i = 0; i < 10'000; ++i) sampled += tracer->begin(0, nullptr, "m", kStart) ? 1 : 0;
  CHECK(sampled > 900);
  CHECK(sampled < 1100);
}

TEST_CASE("a share is one, and a tracer has a lane") {
  CHECK_THROWS_AS(tracer_of(1.5), std::invalid_argument);
  CHECK_THROWS_AS(Tracer(TracerParams{.share = 0.5, .lanes = 0}), std::invalid_argument);
}

TEST_CASE("a request continues its client's trace, and its spans lie below it") {
  const auto tracer = tracer_of(0.0);
  const auto request = tracer->begin(0, &sampled(), "m", kStart);
  request->queued(kStart);
  BatchFacts facts;
  facts.rows = 3;
  auto batch = std::make_unique<BatchTrace>(SpanName::kBatch, std::vector{request}, facts);
  batch->sent("worker:1", kStart + 2ms);
  batch->computed(kStart + 3ms, kStart + 5ms);
  batch->end("OK", {}, kStart + 6ms);
  request->end("OK", {}, kStart + 7ms);

  const std::vector<Span> spans = tracer->take();
  REQUIRE(spans.size() == 4);
  const Span whole = named(spans, SpanName::kRequest).at(0);
  const Span queue = named(spans, SpanName::kQueue).at(0);
  const Span sent = named(spans, SpanName::kBatch).at(0);
  const Span compute = named(spans, SpanName::kCompute).at(0);
  std::set<std::uint64_t> ids;
  for (const Span& span : spans) {
    CHECK(span.context.trace_high == 0x0af7651916cd43ddU);
    CHECK(span.context.trace_low == 0x8448eb211c80319cU);
    CHECK(span.context.state == "v=1");
    CHECK(span.facts.model == "m");
    ids.insert(span.context.span);
  }
  CHECK(ids.size() == 4);
  CHECK(whole.parent == 0xb7ad6b7169203331U);
  CHECK(whole.is_parent_remote);
  CHECK(queue.parent == whole.context.span);
  CHECK(sent.parent == whole.context.span);
  CHECK(compute.parent == sent.context.span);
  CHECK(queue.began == kStart);
  CHECK(queue.ended == kStart + 2ms);
  CHECK(sent.began == kStart + 2ms);
  CHECK(sent.ended == kStart + 6ms);
  CHECK(sent.worker == "worker:1");
  CHECK(sent.facts.rows == 3);
  CHECK(whole.ended == kStart + 7ms);
  CHECK(whole.links.at(0).span == sent.context.span);
  CHECK(sent.links.at(0).span == whole.context.span);
  CHECK(tracer->take().empty());
}

TEST_CASE("requests that their clients do not trace are traces of their own, each another one") {
  std::set<std::uint64_t> traces;
  const auto tracer = tracer_of(1.0);
  for (const std::size_t lane : {0U, 1U, 0U}) tracer->begin(lane, nullptr, "m", kStart)->end("OK", {}, kStart);
  for (const Span& span : tracer->take()) {
    CHECK(span.parent == 0);
    CHECK_FALSE(span.is_parent_remote);
    traces.insert(span.context.trace_low);
  }
  CHECK(traces.size() == 3);
}

TEST_CASE("a request whose batch failed waits once more; one that ends for it does not") {
  const auto tracer = tracer_of(1.0);
  const auto retried = tracer->begin(0, nullptr, "m", kStart);
  const auto lost = tracer->begin(0, nullptr, "m", kStart);
  retried->queued(kStart);
  lost->queued(kStart);
  {
    BatchTrace first(SpanName::kBatch, {retried, lost}, {});
    first.sent("a", kStart + 1ms);
    first.end("UNAVAILABLE", "gone", kStart + 2ms);
    lost->end("UNAVAILABLE", "gone", kStart + 2ms);
    BatchTrace second(SpanName::kBatch, {retried}, {});
    second.sent("b", kStart + 5ms);
    second.end("OK", {}, kStart + 6ms);
  }
  retried->end("OK", {}, kStart + 6ms);
  const std::vector<Span> spans = tracer->take();
  const std::vector<Span> queues = named(spans, SpanName::kQueue);
  REQUIRE(queues.size() == 3);  // each until the first batch, and one until the second
  CHECK(queues[2].began == kStart + 2ms);
  CHECK(queues[2].ended == kStart + 5ms);
  CHECK(named(spans, SpanName::kBatch).at(0).links.size() == 2);
  CHECK(named(spans, SpanName::kBatch).at(0).message == "gone");
  CHECK(named(spans, SpanName::kRequest).at(1).links.size() == 2);
}

TEST_CASE("a request that no batch took was in the queue until its end; one that was refused never") {
  const auto tracer = tracer_of(1.0);
  const auto expired = tracer->begin(0, nullptr, "m", kStart);
  expired->queued(kStart);
  expired->end("DEADLINE_EXCEEDED", "late", kStart + 9ms);
  const auto refused = tracer->begin(0, nullptr, "m", kStart);
  refused->queued(kStart);
  refused->refused();
  refused->end("RESOURCE_EXHAUSTED", "full", kStart);
  const std::vector<Span> queues = named(tracer->take(), SpanName::kQueue);
  REQUIRE(queues.size() == 1);
  CHECK(queues[0].ended == kStart + 9ms);
}

TEST_CASE("what comes after the end changes nothing") {
  const auto tracer = tracer_of(1.0);
  const auto request = tracer->begin(0, nullptr, "m", kStart);
  request->end("CANCELLED", {}, kStart);
  request->end("OK", {}, kStart + 1ms);
  BatchTrace batch(SpanName::kBatch, {request}, {});
  batch.sent("a", kStart + 1ms);
  batch.end("OK", {}, kStart + 2ms);
  batch.end("UNAVAILABLE", {}, kStart + 3ms);
  const std::vector<Span> spans = tracer->take();
  REQUIRE(spans.size() == 2);
  CHECK(spans[0].status == "CANCELLED");
  CHECK(spans[1].status == "OK");
}

TEST_CASE("a batch that is let go is lost, and one that was never sent is none") {
  const auto tracer = tracer_of(1.0);
  const auto request = tracer->begin(0, nullptr, "m", kStart);
  {
    const BatchTrace unsent(SpanName::kBatch, {request}, {});
  }
  CHECK(tracer->take().empty());
  {
    BatchTrace lost(SpanName::kBatch, {request}, {});
    lost.sent("a", kStart);
  }
  const std::vector<Span> spans = tracer->take();
  REQUIRE(spans.size() == 1);
  CHECK(spans[0].status == "UNAVAILABLE");
  CHECK(spans[0].ended >= spans[0].began);
}

TEST_CASE("what nobody takes is dropped and counted, and does not grow") {
  const auto tracer = tracer_of(1.0, 3);
  for (int i = 0; i < 5; ++i) tracer->begin(0, nullptr, "m", kStart)->end("OK", {}, kStart);
  CHECK(tracer->counts().requests == 5);
  CHECK(tracer->counts().spans_dropped == 2);
  CHECK(tracer->take().size() == 3);
  tracer->begin(0, nullptr, "m", kStart)->end("OK", {}, kStart);
  CHECK(tracer->take().size() == 1);
}

TEST_CASE("requests end on many threads, and none is lost") {
  constexpr std::size_t kRequests = 2000;
  const auto tracer = tracer_of(1.0, 3 * kRequests);
  std::vector<std::shared_ptr<RequestTrace>> requests;
  requests.reserve(kRequests);
  for (std::size_t i = 0; i < kRequests; ++i) requests.push_back(tracer->begin(0, nullptr, "m", kStart));
  for (const auto& request : requests) request->queued(kStart);
  std::thread leaving([&] {
    for (const auto& request : requests) request->end("CANCELLED", {}, kStart + 1ms);
  });
  for (const auto& request : requests) {
    BatchTrace batch(SpanName::kBatch, {request}, {});
    batch.sent("a", kStart);
    batch.end("OK", {}, kStart + 2ms);
  }
  leaving.join();
  const std::vector<Span> spans = tracer->take();
  CHECK(named(spans, SpanName::kRequest).size() == kRequests);
  CHECK(named(spans, SpanName::kQueue).size() == kRequests);
  CHECK(named(spans, SpanName::kBatch).size() == kRequests);
}

// --- through an endpoint

ModelSignature signature() { return {"m", "1", {{"x", Datatype::kInt8, {-1}}}, {{"y", Datatype::kInt8, {-1}}}, 4}; }
std::string message() { return write_infer_request({"m", "", ""}, {{"x", Datatype::kInt8, {1}, "\1"}}, {}); }

TEST_CASE("a batch comes with the traces of its sampled requests, and without any costs nothing") {
  const auto tracer = tracer_of(1.0);
  Endpoint endpoint(signature(), {.rt_max = 1s, .rows_max = 4});
  endpoint.worker_up(WorkerId{1}, {.profile = LatencyProfile({{1, 1ms}, {4, 2ms}}), .rows_max = 4}, kStart);
  endpoint.submit(message(), kStart + 1s, kStart);
  const auto plain = endpoint.poll(kStart).batches;
  REQUIRE(plain.size() == 1);
  CHECK(plain[0].trace == nullptr);
  const std::string answer = write_infer_response({"m", "1", ""}, {{"y", Datatype::kInt8, {1}, "\1"}});
  endpoint.complete(plain[0].batch, answer, kStart);

  endpoint.submit(message(), kStart + 1s, kStart);
  endpoint.submit(message(), kStart + 1s, kStart, 0, tracer->begin(0, nullptr, "m", kStart));
  const auto traced = endpoint.poll(kStart).batches;
  REQUIRE(traced.size() == 1);
  REQUIRE(traced[0].trace != nullptr);
  traced[0].trace->sent("a", kStart + 1ms);
  traced[0].trace->end("OK", {}, kStart + 2ms);
  const Span batch = named(tracer->take(), SpanName::kBatch).at(0);
  CHECK(batch.links.size() == 1);
  CHECK(batch.facts.requests == 2);
  CHECK(batch.facts.rows == 2);
  CHECK(batch.facts.reason.has_value());
}

TEST_CASE("a request that an endpoint refuses was not queued") {
  const auto tracer = tracer_of(1.0);
  Endpoint endpoint(signature(), {.rt_max = 1s, .rows_max = 4, .queue_requests_max = 1});
  endpoint.submit(message(), kStart + 1s, kStart);
  const auto refused = tracer->begin(0, nullptr, "m", kStart);
  CHECK(std::holds_alternative<Refusal>(endpoint.submit(message(), kStart + 1s, kStart, 0, refused)));
  refused->end("RESOURCE_EXHAUSTED", {}, kStart);
  CHECK(named(tracer->take(), SpanName::kQueue).empty());
}

}  // namespace
}  // namespace mark::net
