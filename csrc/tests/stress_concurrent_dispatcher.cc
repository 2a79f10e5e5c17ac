// Producers submit and cancel, pollers launch, workers complete and fail, and a fleet thread takes workers up and down,
// all at once on one ConcurrentDispatcher. At the end every accepted request must have ended exactly once. Run it under
// the sanitizers.
//
// usage: stress_concurrent_dispatcher [REQUESTS_PER_PRODUCER]
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

#include "mark/concurrent_dispatcher.h"

namespace {

using namespace std::chrono_literals;

constexpr std::uint32_t kProducers = 3;
constexpr std::uint32_t kPollers = 3;
constexpr std::uint32_t kWorkers = 4;

mark::TimeNs now() {
  const auto since = std::chrono::steady_clock::now().time_since_epoch();
  return mark::TimeNs{std::chrono::duration_cast<mark::DurationNs>(since)};
}

class Stress {
 public:
  explicit Stress(std::uint32_t requests_each)
      : requests_each_(requests_each),
        dispatcher_({.rt_max = 50ms, .rows_max = 8, .queue_requests_max = 64}),
        ends_(kProducers * std::size_t{requests_each}) {}

  bool run() {
    for (std::uint32_t worker = 0; worker < kWorkers; ++worker) {
      bring_up(worker);
    }
    std::vector<std::thread> producers;
    producers.reserve(kProducers);
    std::vector<std::thread> others;
    others.reserve(kPollers + 1);
    for (std::uint32_t producer = 0; producer < kProducers; ++producer) {
      producers.emplace_back([this, producer] { produce(producer); });
    }
    for (std::uint32_t poller = 0; poller < kPollers; ++poller) {
      others.emplace_back([this, poller] { serve(poller); });
    }
    others.emplace_back([this] { replace_workers(); });
    for (std::thread& thread : producers) {
      thread.join();
    }
    const bool drained = drain();
    done_ = true;
    dispatcher_.stop();
    for (std::thread& thread : others) {
      thread.join();
    }
    return drained && all_ended_once();
  }

  void print() const {
    const mark::Statistics statistics = dispatcher_.statistics();
    std::printf("%u requests accepted, %llu batches, %llu retries\n", accepted_.load(),
                static_cast<unsigned long long>(statistics.dispatched_batches),
                static_cast<unsigned long long>(statistics.retried_requests));
  }

 private:
  void bring_up(std::uint32_t worker) {
    const mark::LatencyProfile profile{{{1, 50us}, {8, 100us}}};
    dispatcher_.worker_up(mark::WorkerId{worker}, {.profile = profile, .batches_in_flight_max = 2}, now());
  }

  // Each request has a slot of its own, so that ends_ can count it; generation 1.
  void produce(std::uint32_t producer) {
    std::mt19937 random(producer);
    for (std::uint32_t i = 0; i < requests_each_; ++i) {
      const mark::RequestId id = mark::RequestId::of(producer * requests_each_ + i, 1);
      const mark::TimeNs time = now();
      const mark::Request request{.id = id,
                                  .rows = 1 + static_cast<int>(random() % 3),
                                  .bytes = 10,
                                  .deadline = time + 100us * (1 + random() % 400),
                                  .shape = random() % 8 == 0 ? 1U : 0U};
      if (dispatcher_.submit(request, time) != mark::Admission::kAccepted) {
        ++ends_[id.slot()];
        std::this_thread::yield();
        continue;
      }
      ++accepted_;
      if (random() % 10 == 0 && dispatcher_.cancel(id, now())) {
        ++ends_[id.slot()];
      }
    }
  }

  void serve(std::uint32_t poller) {
    std::mt19937 random(100 + poller);
    while (!done_) {
      const mark::Decisions decisions = dispatcher_.poll(now());
      count(decisions.drops);
      for (const mark::Dispatch& dispatch : decisions.dispatches) {
        finish(dispatch, random);
      }
      if (decisions.dispatches.empty()) {
        const auto wakeup = dispatcher_.next_wakeup();
        dispatcher_.wait(wakeup ? *wakeup - now() : 100ms);
      }
    }
  }

  void finish(const mark::Dispatch& dispatch, std::mt19937& random) {
    const auto chance = random() % 20;
    if (chance == 0) {
      count(dispatcher_.fail(dispatch.batch, mark::Failure::kModelError, now()));
    } else if (chance == 1) {
      count(dispatcher_.fail(dispatch.batch, mark::Failure::kWorkerLost, now()));
    } else {
      for (const mark::RequestId id : dispatcher_.complete(dispatch.batch, now())) {
        ++ends_[id.slot()];
      }
    }
  }

  void replace_workers() {
    for (std::uint32_t turn = 0; !done_; ++turn) {
      const std::uint32_t worker = turn % kWorkers;
      dispatcher_.worker_drain(mark::WorkerId{worker});
      (void)dispatcher_.worker_busy(mark::WorkerId{worker});
      (void)dispatcher_.backlog(now());
      count(dispatcher_.worker_down(mark::WorkerId{worker}, now()));
      bring_up(worker);
      std::this_thread::yield();
    }
  }

  void count(const std::vector<mark::Drop>& drops) {
    for (const mark::Drop& drop : drops) {
      ++ends_[drop.request.slot()];
    }
  }

  // Everything ends by its deadline, so this ends soon; a request that never does is a failure, not a hang.
  bool drain() const {
    const auto give_up = std::chrono::steady_clock::now() + 20s;
    while (std::chrono::steady_clock::now() < give_up) {
      const mark::Statistics statistics = dispatcher_.statistics();
      if (statistics.queued_requests == 0 && statistics.in_flight_requests == 0) {
        return true;
      }
      std::this_thread::yield();
    }
    std::fprintf(stderr, "requests are still queued or in flight after all deadlines\n");
    return false;
  }

  bool all_ended_once() const {
    for (std::size_t slot = 0; slot < ends_.size(); ++slot) {
      if (ends_[slot] != 1) {
        std::fprintf(stderr, "request %zu ended %d times\n", slot, ends_[slot].load());
        return false;
      }
    }
    std::uint64_t ended = 0;
    for (const std::uint64_t outcome : dispatcher_.statistics().ended) {
      ended += outcome;
    }
    return ended == ends_.size();
  }

  const std::uint32_t requests_each_;
  mark::ConcurrentDispatcher dispatcher_;
  std::vector<std::atomic<int>> ends_;
  std::atomic<std::uint32_t> accepted_ = 0;
  std::atomic<bool> done_ = false;
};

}  // namespace

int main(int argc, const char* const* argv) {
  const unsigned long requests_each = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 60'000;
  if (argc > 2 || requests_each == 0 || requests_each > 1'000'000) {
    std::fprintf(stderr, "usage: stress_concurrent_dispatcher [REQUESTS_PER_PRODUCER]   1 to 1000000\n");
    return 2;
  }
  Stress stress(static_cast<std::uint32_t>(requests_each));
  const bool sound = stress.run();
  stress.print();
  return sound ? 0 : 1;
}
