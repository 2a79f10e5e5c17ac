#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "net/rpc/grpc_server.h"
#include "net/rpc/load_generator.h"

namespace mark::net {
namespace {

using namespace std::chrono_literals;
using Kind = LoadOutcome::Ending::Kind;

// Echoes; "refuse" is refused, "break" fails, "never" is not answered, and of "together" none is until there are five.
class Server final : private UnaryHandler {
 public:
  Server() : server_(params()) {
    server_.handle(kModelInferMethod, *this);
    server_.start();
  }
  const std::string& address() const { return server_.address(); }
  void stop() { server_.stop(); }

 private:
  static GrpcServerParams params() {
    GrpcServerParams made;
    made.address = "127.0.0.1:0";
    return made;
  }
  void on_call(CallLoop& calls, UnaryCall call) override {
    constexpr std::size_t kTogether = 5;
    if (call.message == "refuse") {
      calls.fail(call.id, {.code = StatusCode::kResourceExhausted, .message = "queue is full", .metadata = {}});
    } else if (call.message == "break") {
      calls.fail(call.id, {.code = StatusCode::kInternal, .message = "broken", .metadata = {}});
    } else if (call.message == "together") {
      held_.push_back(call.id);
      if (held_.size() < kTogether) return;
      for (const CallId id : std::exchange(held_, {})) calls.reply(id, "at last");
    } else if (call.message != "never") {
      calls.reply(call.id, std::move(call.message));
    }
  }
  void on_cancelled(CallLoop& /*calls*/, CallId /*call*/) override {}

  std::vector<CallId> held_;
  GrpcServer server_;  // ends first
};

std::vector<std::int64_t> every(DurationNs gap, std::size_t count) {
  std::vector<std::int64_t> instants(count);
  for (std::size_t i = 0; i < count; ++i) instants[i] = static_cast<std::int64_t>(i) * gap.count();
  return instants;
}

std::size_t count_of(const LoadOutcome& outcome, Kind kind) {
  return static_cast<std::size_t>(std::count_if(outcome.ending.begin(), outcome.ending.end(), [&](std::uint16_t each) {
    return outcome.endings[each].kind == kind;
  }));
}

TEST_CASE("open loop: each request is sent at its instant, and its answer kept where that was asked for") {
  const Server server;
  LoadGenerator load({.address = server.address(), .connections = 3, .timeout = 5s, .keep_every = 10}, {"a", "b", "c"});
  const auto instants = every(100us, 1000);
  const LoadOutcome outcome = load.run_open(instants);
  CHECK(count_of(outcome, Kind::kAnswered) == 1000);
  CHECK(outcome.latency_ns.size() == 1000);
  CHECK(*std::min_element(outcome.latency_ns.begin(), outcome.latency_ns.end()) > 0);
  CHECK(*std::min_element(outcome.lag_ns.begin(), outcome.lag_ns.end()) >= 0);
  CHECK(outcome.duration >= 99ms);
  CHECK(load.due() == 1000);
  CHECK(load.ended() == 1000);
  REQUIRE(outcome.kept.size() == 100);
  for (const auto& [request, answer] : outcome.kept) {
    CHECK(request % 10 == 0);
    CHECK(answer == std::string(1, static_cast<char>('a' + request % 3)));
  }
}

TEST_CASE("latency counts from the instant at which a request was to be sent") {
  const Server server;
  LoadGenerator load({.address = server.address(), .timeout = 10s}, {"together"});
  const LoadOutcome outcome = load.run_open(every(10ms, 5));
  REQUIRE(count_of(outcome, Kind::kAnswered) == 5);
  CHECK(outcome.latency_ns[0] >= 40'000'000);
  CHECK(outcome.latency_ns[1] >= 30'000'000);
  CHECK(outcome.latency_ns[0] > outcome.latency_ns[4]);
}

TEST_CASE("what fails is counted by its status and text") {
  const Server server;
  LoadGenerator load({.address = server.address(), .timeout = 20s}, {"ok", "refuse", "break"});
  const LoadOutcome outcome = load.run_open(every(1ms, 9));
  CHECK(count_of(outcome, Kind::kAnswered) == 3);
  CHECK(count_of(outcome, Kind::kFailed) == 6);
  const auto& refused = outcome.endings[outcome.ending[1]].status;
  CHECK(refused.code == StatusCode::kResourceExhausted);
  CHECK(refused.message == "queue is full");
  CHECK(outcome.ending[1] == outcome.ending[4]);
  CHECK(outcome.endings[outcome.ending[2]].status.code == StatusCode::kInternal);
  // Apart from what is to be answered: that might not come in so short a time.
  LoadGenerator impatient({.address = server.address(), .timeout = 50ms}, {"never"});
  const LoadOutcome unanswered = impatient.run_open(every(1ms, 3));
  CHECK(count_of(unanswered, Kind::kFailed) == 3);
  CHECK(unanswered.endings[unanswered.ending[0]].status.code == StatusCode::kDeadlineExceeded);
  CHECK(unanswered.latency_ns[0] >= 50'000'000);
}

TEST_CASE("no more than the bound are in flight: beyond it nothing is sent") {
  const Server server;
  LoadGenerator load({.address = server.address(), .timeout = 100ms, .in_flight_max = 2}, {"never"});
  const LoadOutcome outcome = load.run_open(every(1ms, 5));
  CHECK(count_of(outcome, Kind::kFailed) == 2);
  CHECK(count_of(outcome, Kind::kNotSent) == 3);
}

TEST_CASE("stopped, it sends nothing more and gives up what has no answer") {
  const Server server;
  LoadGenerator load({.address = server.address()}, {"never"});
  std::thread stopper([&load] {
    while (load.due() < 3) std::this_thread::yield();
    load.stop(1ms);
  });
  const LoadOutcome outcome = load.run_open(every(5ms, 100'000));
  stopper.join();
  CHECK(outcome.ending.size() >= 3);
  CHECK(outcome.ending.size() < 100'000);
  CHECK(count_of(outcome, Kind::kCancelled) == outcome.ending.size());
}

TEST_CASE("closed loop: as many in flight as asked for, until the time is over") {
  const Server server;
  LoadGenerator load({.address = server.address(), .connections = 2}, {"x"});
  const LoadOutcome outcome = load.run_closed(16, 500ms);
  CHECK(outcome.ending.size() > 16);
  CHECK(count_of(outcome, Kind::kAnswered) == outcome.ending.size());
  CHECK(outcome.duration >= 500ms);
}

TEST_CASE("without a server every request says so") {
  Server server;
  const std::string address = server.address();
  server.stop();
  LoadGenerator load({.address = address, .timeout = 1s}, {"x"});
  const LoadOutcome outcome = load.run_open(every(1ms, 3));
  CHECK(count_of(outcome, Kind::kFailed) == 3);
  CHECK(outcome.endings[outcome.ending[0]].status.code == StatusCode::kUnavailable);
  CHECK(outcome.endings[outcome.ending[0]].status.message.find("Connection refused") != std::string::npos);
}

TEST_CASE("what makes no sense is refused") {
  CHECK_THROWS_AS(LoadGenerator({.address = "127.0.0.1:1"}, {}), std::invalid_argument);
  CHECK_THROWS_AS(LoadGenerator({.address = "nothing"}, {"x"}), std::invalid_argument);
  CHECK_THROWS_AS(LoadGenerator({.address = "127.0.0.1:1", .connections = 0}, {"x"}), std::invalid_argument);
  LoadGenerator load({.address = "127.0.0.1:1"}, {"x"});
  const std::vector<std::int64_t> backwards{2, 1};
  CHECK_THROWS_AS(load.run_open(backwards), std::invalid_argument);
}

}  // namespace
}  // namespace mark::net
