#include <doctest/doctest.h>
#include <unistd.h>

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "net/rpc/worker_link.h"
#include "rpc/scripted_peer.h"

namespace mark::net {
namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;
using Kind = BatchResult::Kind;
using Request = ScriptedPeer::Request;

constexpr const char* kReady = "\x08\x01";
constexpr const char* kReadyPath = "/inference.GRPCInferenceService/ModelReady";

OutboundBatch batch_of(std::string message) {
  static const auto kSignature =
      std::make_shared<const ModelSignature>(ModelSignature{"mlp", "2", {{"x", Datatype::kInt8, {-1, -1}}}, {}, 1});
  const auto width = static_cast<std::int64_t>(message.size());
  auto payload = std::make_shared<const InferRequest>(
      InferRequest{.id = "", .rows = 1, .inputs = {{{1, width}, std::move(message)}}, .outputs = {}});
  return {.batch = {},
          .worker = {},
          .signature = kSignature,
          .payloads = std::make_shared<const std::vector<Payload>>(std::vector<Payload>{std::move(payload)}),
          .requests = 1,
          .rows = 1,
          .predicted_finish = {},
          .earliest_deadline = {}};
}

struct Fixture {
  explicit Fixture(ScriptedPeer::Script script) : peer(loop, "127.0.0.1:0", std::move(script)) {
    link.emplace(loop, WorkerLinkParams{.address = peer.address(), .model = "mlp", .version = "2", .tls = nullptr});
  }
  BatchResult sent(std::string message, DurationNs timeout = 5s) {
    std::optional<BatchResult> result;
    link->send(batch_of(std::move(message)), timeout, [&result](BatchResult got) { result = std::move(got); });
    CHECK_FALSE(result.has_value());
    run_until(loop, [&result] { return result.has_value(); });
    return std::move(*result);
  }

  EventLoop loop;
  ScriptedPeer peer;
  std::optional<WorkerLink> link;
};

TEST_CASE("a batch is answered") {
  std::string path;
  Fixture fixture([&path](const Request& request) {
    path = request.headers.at(":path");
    ScriptedPeer::answer(request, "answer to " + request.message());
  });
  const BatchResult result = fixture.sent("batch");
  CHECK(result.kind == Kind::kAnswered);
  CHECK(result.text == "answer to " + batch_of("batch").message());
  CHECK(path == "/inference.GRPCInferenceService/ModelInfer");
  CHECK(fixture.link->batches_in_flight() == 0);
}

TEST_CASE("statuses of the link and of the model, in the words of the Python link") {
  std::string status;
  std::string text = "why";
  Fixture fixture([&](const Request& request) {
    ScriptedPeer::only(
        request,
        {{":status", "200"}, {"content-type", "application/grpc"}, {"grpc-status", status}, {"grpc-message", text}});
  });
  const std::string worker = "worker " + fixture.peer.address() + ": ";
  struct Case {
    std::string status;
    Kind kind;
    std::string text;
  };
  const std::vector<Case> table{{"14", Kind::kLinkFailed, worker + "UNAVAILABLE: why"},
                                {"1", Kind::kLinkFailed, worker + "CANCELLED: why"},
                                {"10", Kind::kLinkFailed, worker + "ABORTED: why"},
                                {"4", Kind::kHung, worker + "DEADLINE_EXCEEDED: why"},
                                {"3", Kind::kModelError, "why"},
                                {"13", Kind::kModelError, "why"},
                                {"2", Kind::kModelError, "why"},
                                {"8", Kind::kModelError, "why"}};
  for (const Case& each : table) {
    CAPTURE(each.status);
    status = each.status;
    const BatchResult result = fixture.sent("batch");
    CHECK(result.kind == each.kind);
    CHECK(result.text == each.text);
  }
  status = "13";
  text = "";
  CHECK(fixture.sent("batch").text == "INTERNAL: ");
}

TEST_CASE("a worker that does not answer in time is hung, and its stream is reset") {
  const std::string answered = batch_of("answered").message();
  Fixture fixture([&answered](const Request& request) {
    if (request.message() == answered) ScriptedPeer::answer(request, "");
  });
  CHECK(fixture.sent("answered").kind == Kind::kAnswered);  // connected: the deadline does not pass before the stream
  const BatchResult result = fixture.sent("batch", 30ms);
  CHECK(result.kind == Kind::kHung);
  CHECK(result.text == "worker " + fixture.peer.address() + ": DEADLINE_EXCEEDED: Deadline Exceeded");
  run_until(fixture.loop, [&fixture] { return fixture.peer.resets == 1; });
}

TEST_CASE("a worker that goes while it has a batch fails the link") {
  Fixture fixture([](const Request& request) { request.connection->reset(request.stream, Http2Error::kCancel); });
  CHECK(fixture.sent("batch").kind == Kind::kLinkFailed);
  bool told = false;
  fixture.link->send(batch_of("x"), 5s, [&told](const BatchResult& result) {
    CHECK(result.kind == Kind::kLinkFailed);
    told = true;
  });
  fixture.peer.break_connections();
  run_until(fixture.loop, [&told] { return told; });
}

TEST_CASE("the worker is asked until it is ready, and what it says is kept in words") {
  const std::vector<std::string> answers{"", "\xff", "no", kReady};
  std::size_t asked = 0;
  std::vector<std::string> findings;
  std::string name;
  Fixture fixture([&](const Request& request) {
    findings.push_back(fixture.link->last_probe());
    CHECK(request.headers.at(":path") == kReadyPath);
    name = request.message();
    const std::string& answer = answers.at(asked++);
    if (answer == "no") {
      ScriptedPeer::only(request, {{":status", "200"},
                                   {"content-type", "application/grpc"},
                                   {"grpc-status", "5"},
                                   {"grpc-message", "no such model"}});
    } else {
      ScriptedPeer::answer(request, answer);
    }
  });
  int ready = 0;
  fixture.link->when_ready([&ready] { ++ready; });
  run_until(fixture.loop, [&ready] { return ready > 0; });
  CHECK(asked == 4);
  CHECK(ready == 1);
  CHECK(name == "\x0a\x03mlp\x12\x01\x32"s);
  CHECK(findings == std::vector<std::string>{"not asked yet", "it answers that it is not ready",
                                             "its answer is not of the Open Inference Protocol",
                                             "NOT_FOUND: no such model"});
  CHECK(fixture.link->last_probe() == "ready");
}

TEST_CASE("a worker that comes later is found; asked again it says so again") {
  const std::string path = "/tmp/mark-link-" + std::to_string(getpid()) + ".sock";
  EventLoop loop;
  WorkerLink link(loop, {.address = "unix:" + path, .model = "mlp", .version = "", .tls = nullptr});
  int ready = 0;
  link.when_ready([&ready] { ++ready; });
  run_until(loop, [&link] { return link.last_probe() != "not asked yet"; });
  CHECK(link.last_probe() == "UNAVAILABLE: failed to connect to unix:" + path + ": No such file or directory");
  const ScriptedPeer peer(loop, "unix:" + path, [](const Request& request) { ScriptedPeer::answer(request, kReady); });
  run_until(loop, [&ready] { return ready == 1; });
  link.when_ready([&ready] { ++ready; });
  run_until(loop, [&ready] { return ready == 2; });
}

TEST_CASE("a closed link calls nobody, not even from within a result") {
  Fixture fixture([](const Request& request) { ScriptedPeer::answer(request, kReady); });
  int heard = 0;
  fixture.link->when_ready([&heard] { ++heard; });
  fixture.link->send(batch_of("a"), 5s, [&heard](const BatchResult&) { ++heard; });
  fixture.link->close();
  run_for(fixture.loop, 20ms);
  CHECK(heard == 0);

  fixture.link.emplace(
      fixture.loop, WorkerLinkParams{.address = fixture.peer.address(), .model = "m", .version = "", .tls = nullptr});
  bool destroyed = false;
  fixture.link->send(batch_of("a"), 5s, [&](const BatchResult&) {
    fixture.link.reset();
    destroyed = true;
  });
  run_until(fixture.loop, [&destroyed] { return destroyed; });
  run_for(fixture.loop, 5ms);
}

}  // namespace
}  // namespace mark::net
