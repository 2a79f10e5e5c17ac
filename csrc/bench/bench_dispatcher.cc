// How many requests per second one core takes through the dispatcher, from submit() to complete(). Virtual time, no
// threads: 8 workers that are always busy, batches of 8, poll() after every event as a live driver does.
//
// usage: bench_dispatcher [REQUESTS]     REQUESTS is a multiple of 8, at least 128
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <string>
#include <vector>

#include "mark/dispatcher.h"

namespace {

using namespace std::chrono_literals;

constexpr int kWorkers = 8;
constexpr int kRowsPerBatch = 8;
constexpr std::uint32_t kInFlight = kWorkers * kRowsPerBatch;
constexpr std::uint32_t kRequestsMin = 2 * kInFlight;  // as many in flight as queued

// The requests' side: hands out slots, and checks that each accepted request comes back once.
class Requests {
 public:
  explicit Requests(std::uint32_t slots) : generation_(slots), live_(slots) {
    for (std::uint32_t slot = slots; slot > 0; --slot) {
      free_.push_back(slot - 1);
    }
  }

  mark::RequestId open() {
    const std::uint32_t slot = free_.back();
    free_.pop_back();
    live_[slot] = true;
    return mark::RequestId::of(slot, ++generation_[slot]);
  }

  bool close(mark::RequestId id) {
    if (!live_[id.slot()] || generation_[id.slot()] != id.generation()) {
      return false;
    }
    live_[id.slot()] = false;
    free_.push_back(id.slot());
    ++closed_;
    return true;
  }

  std::uint64_t closed() const { return closed_; }

 private:
  std::vector<std::uint32_t> generation_;
  std::vector<bool> live_;
  std::vector<std::uint32_t> free_;
  std::uint64_t closed_ = 0;
};

class Bench {
 public:
  explicit Bench(std::uint64_t requests)
      : left_(requests), dispatcher_({.rt_max = 1s, .rows_max = kRowsPerBatch}), requests_(2 * kRequestsMin) {}

  // False when a request was refused, lost or answered twice.
  bool run() {
    submit(kRequestsMin);
    for (int worker = 0; worker < kWorkers; ++worker) {
      dispatcher_.worker_up(mark::WorkerId{static_cast<std::uint32_t>(worker)},
                            {.profile = mark::LatencyProfile{{{1, 1ms}, {kRowsPerBatch, 2ms}}}}, now_);
      poll();
    }
    while (!in_flight_.empty() && sound_) {
      complete_oldest();
      submit(kRowsPerBatch);
    }
    return sound_ && left_ == 0;
  }

  std::uint64_t answered() const { return requests_.closed(); }
  std::uint64_t batches() const { return dispatcher_.statistics().dispatched_batches; }

 private:
  void submit(std::uint32_t count) {
    for (; count > 0 && left_ > 0; --count, --left_) {
      now_ += 1us;
      const mark::Request request{.id = requests_.open(), .rows = 1, .bytes = 256, .deadline = now_ + 1s};
      sound_ = sound_ && dispatcher_.submit(request, now_) == mark::Admission::kAccepted;
      poll();
    }
  }

  void poll() {
    const mark::Decisions decisions = dispatcher_.poll(now_);
    sound_ = sound_ && decisions.drops.empty();
    for (const mark::Dispatch& dispatch : decisions.dispatches) {
      in_flight_.push_back(dispatch.batch);
    }
  }

  void complete_oldest() {
    now_ += 1us;
    for (const mark::RequestId id : dispatcher_.complete(in_flight_.front(), now_)) {
      sound_ = requests_.close(id) && sound_;
    }
    in_flight_.pop_front();
    poll();
  }

  std::uint64_t left_;
  mark::Dispatcher dispatcher_;
  Requests requests_;
  std::deque<mark::BatchId> in_flight_;
  mark::TimeNs now_;
  bool sound_ = true;
};

}  // namespace

int main(int argc, const char* const* argv) {
  const std::uint64_t requests = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 2'000'000;
  if (argc > 2 || requests < kRequestsMin || requests % kRowsPerBatch != 0) {
    std::fprintf(stderr, "usage: bench_dispatcher [REQUESTS]   a multiple of %d, at least %u\n", kRowsPerBatch,
                 kRequestsMin);
    return 2;
  }
  Bench bench(requests);
  const auto start = std::chrono::steady_clock::now();
  const bool sound = bench.run();
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  std::printf(R"({"requests": %llu, "seconds": %.6f, "requests_per_s": %.0f, "batches": %llu})"
              "\n",
              static_cast<unsigned long long>(bench.answered()), seconds,
              static_cast<double>(bench.answered()) / seconds, static_cast<unsigned long long>(bench.batches()));
  return sound ? 0 : 1;
}
