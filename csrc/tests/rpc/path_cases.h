// What the tests of ingress and request path share: calls that note how they end, and workers that answer when the test
// lets them.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "net/rpc/ingress.h"

namespace mark::net {

class FakeCalls final : public CallLoop {
 public:
  EventLoop& loop() override { return loop_; }
  void reply(CallId call, std::string message) override {
    end(call, {.code = StatusCode::kOk, .message = std::move(message), .metadata = {}});
  }
  void fail(CallId call, const GrpcStatus& status) override { end(call, status); }

  CallId next_call() { return CallId::of(slot_++, 1); }
  std::size_t count() const { return ended.size(); }

  std::map<std::uint64_t, GrpcStatus> ended;  // by call; of one that was answered: OK, and the answer
  int twice = 0;

 private:
  void end(CallId call, const GrpcStatus& status) { twice += ended.emplace(call.value, status).second ? 0 : 1; }

  EventLoop loop_;
  std::uint32_t slot_ = 0;
};

// y = x. Answers at the end of the turn, or when the test says so.
class FakeCarrier final : public BatchCarrier {
 public:
  using Answer = std::function<BatchResult(const OutboundBatch&)>;
  struct Held {
    OutboundBatch batch;
    Done done;
  };

  explicit FakeCarrier(EventLoop& loop, bool ready = true) : loop_(loop), ready_(ready) {}

  void send(const OutboundBatch& batch, DurationNs timeout, Done done) override {
    timeouts.push_back(timeout);
    rows.push_back(batch.rows);
    held.push_back({batch, std::move(done)});
    if (!holds)
      loop_.post([alive = alive_, this] {
        if (*alive) release();
      });
  }
  void when_ready(std::function<void()> ready) override {
    ++asked;
    waiting_ = std::move(ready);
    if (ready_)
      loop_.post([alive = alive_, this] {
        if (*alive) become_ready();
      });
  }
  const std::string& address() const override { return address_; }
  const std::string& last_probe() const override { return last_probe_; }
  void close() override {
    *alive_ = false;
    held.clear();
    waiting_ = nullptr;
    if (closed) closed();
  }

  void become_ready() {
    last_probe_ = "ready";
    if (const auto told = std::exchange(waiting_, nullptr)) told();
  }
  // Ends the first batch that it holds.
  void release() {
    if (held.empty()) return;
    const Held first = std::move(held.front());
    held.erase(held.begin());
    first.done(answer(first.batch));
  }

  static BatchResult echo(const OutboundBatch& batch) {
    std::string raw;
    for (const Payload& payload : *batch.payloads) raw += payload->inputs[0].raw;
    return {.kind = BatchResult::Kind::kAnswered,
            .text = write_infer_response({"m", "1", ""}, {{"y", Datatype::kInt8, {batch.rows}, raw}})};
  }

  bool holds = false;
  Answer answer = echo;
  std::vector<Held> held;
  std::vector<int> rows;
  std::vector<DurationNs> timeouts;
  std::function<void()> closed;
  int asked = 0;

 private:
  EventLoop& loop_;
  const bool ready_;
  std::function<void()> waiting_;
  const std::string address_ = "test";
  std::string last_probe_ = "not asked yet";
  const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

inline std::string path_request(char value = 1, const std::string& model = "m") {
  const std::string raw(1, value);
  return write_infer_request({model, "", ""}, {{"x", Datatype::kInt8, {1}, raw}}, {});
}

inline WorkerSpec path_worker() {
  using namespace std::chrono_literals;
  return {.profile = LatencyProfile{{{1, 1ms}, {8, 2ms}}}, .rows_max = 8};
}

inline RequestPathParams path_params(bool bursts = false) {
  using namespace std::chrono_literals;
  return {.signature = {"m", "1", {{"x", Datatype::kInt8, {-1}}}, {{"y", Datatype::kInt8, {-1}}}, 8},
          .dispatcher = {.rt_max = 5s, .rows_max = 8},
          .bursts = bursts};
}

}  // namespace mark::net
