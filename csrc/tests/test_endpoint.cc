#include <doctest/doctest.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "net/endpoint.h"

namespace mark::net {
namespace {

using namespace std::chrono_literals;

constexpr TimeNs kStart{};
constexpr WorkerId kWorker{1};
constexpr int kExpiring = 64;

ModelSignature signature() { return {"m", "1", {{"x", Datatype::kInt8, {-1}}}, {{"y", Datatype::kInt8, {-1}}}, 1}; }

std::string request() { return write_infer_request({"m", "", ""}, {{"x", Datatype::kInt8, {1}, "\1"}}, {}); }

std::string answer(int rows) {
  const std::string raw(static_cast<std::size_t>(rows), '\1');
  return write_infer_response({"m", "1", ""}, {{"y", Datatype::kInt8, {rows}, raw}});
}

// One worker that has a batch which expires, and one request more, which waits.
class LostWorker {
 public:
  LostWorker() {
    bring_up();
    for (int i = 0; i < kExpiring; ++i) submit(kStart + 10ms);
    for (const OutboundBatch& batch : endpoint_.poll(kStart).batches) in_flight_ += batch.requests;
    submit(kStart + 900ms);
  }

  int in_flight() const { return in_flight_; }

  // The replies are many, so that the other thread has the time to get in between.
  void lose() { ended_ += static_cast<int>(endpoint_.worker_down(kWorker, kStart + 20ms).size()); }

  // As a driver on another thread: brings the worker up as soon as it is gone, and serves the request that waits.
  int recover() {
    while (endpoint_.worker_busy(kWorker)) std::this_thread::yield();
    bring_up();
    int answered = 0;
    for (const OutboundBatch& batch : endpoint_.poll(kStart + 20ms).batches) {
      for (const Reply& reply : endpoint_.complete(batch.batch, answer(batch.rows), kStart + 30ms)) {
        if (reply.message) ++answered;
      }
    }
    return answered;
  }

  int ended() const { return ended_; }

 private:
  void bring_up() {
    const LatencyProfile profile{{{1, 1us}, {kExpiring, 2us}}};
    endpoint_.worker_up(kWorker, {.profile = profile, .rows_max = kExpiring}, kStart);
  }

  void submit(TimeNs deadline) {
    REQUIRE(std::holds_alternative<RequestId>(endpoint_.submit(request(), deadline, kStart)));
  }

  Endpoint endpoint_{signature(), {.rt_max = 1s, .rows_max = kExpiring}};
  int in_flight_ = 0;
  int ended_ = 0;
};

TEST_CASE("a worker that comes back while it is reported lost keeps the batches of its new life") {
  constexpr int kRounds = 300;
  for (int round = 0; round < kRounds; ++round) {
    LostWorker lost;
    REQUIRE(lost.in_flight() == kExpiring);
    std::thread driver([&] { lost.lose(); });
    const int answered = lost.recover();
    driver.join();
    REQUIRE(lost.ended() == kExpiring);
    REQUIRE(answered == 1);
  }
}

}  // namespace
}  // namespace mark::net
