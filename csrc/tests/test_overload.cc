// More load than the workers can take, in virtual time: what can be answered in time is, and what cannot costs nothing.
#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <map>
#include <random>
#include <vector>

#include "mark/batch_limits.h"
#include "mark/dispatcher.h"

namespace mark {
namespace {

using namespace std::chrono_literals;

constexpr DurationNs kRtMax = 100ms;
constexpr int kRowsMax = 32;

LatencyProfile profile_of(DurationNs once, DurationNs each_row) {
  std::vector<ProfilePoint> points;
  for (int rows = 1; rows <= kRowsMax; ++rows) {
    points.push_back({rows, once + rows * each_row});
  }
  return LatencyProfile(points);
}

// Poisson arrivals of single rows, workers that take exactly as long as predicted, and a clock that jumps.
class Simulation {
 public:
  Simulation(const LatencyProfile& profile, int workers, bool admission)
      : profile_(profile),
        dispatcher_({.rt_max = kRtMax, .rows_max = kRowsMax, .queue_requests_max = 1 << 20, .admission = admission}) {
    for (int worker = 1; worker <= workers; ++worker) {
      dispatcher_.worker_up(WorkerId{static_cast<std::uint32_t>(worker)}, {.profile = profile, .rows_max = kRowsMax},
                            now_);
    }
  }

  // Lets so much time pass; requests per second that were answered in time.
  double run(double rate_per_s, DurationNs duration) {
    const TimeNs end = now_ + duration;
    const std::int64_t before = answered();
    std::exponential_distribution<double> gap_s(rate_per_s);
    TimeNs arrival = now_ + seconds(gap_s(random_));
    while (next_event(arrival) < end) {
      now_ = std::max(now_, next_event(arrival));
      finish_batches();
      if (arrival <= now_) {
        submit();
        arrival = now_ + seconds(gap_s(random_));
      }
      serve();
    }
    now_ = end;
    return static_cast<double>(answered() - before) / std::chrono::duration<double>(duration).count();
  }

  // So many of the next batches take so much longer.
  void stall(DurationNs extra, int batches) {
    stall_ = extra;
    stalls_ = batches;
  }

  std::int64_t violations() const {
    return ended(Outcome::kLate) + ended(Outcome::kPredictedMiss) + ended(Outcome::kExpired);
  }

 private:
  std::int64_t ended(Outcome outcome) const {
    return static_cast<std::int64_t>(dispatcher_.statistics().ended[static_cast<std::size_t>(outcome)]);
  }

  static DurationNs seconds(double value) { return DurationNs{static_cast<std::int64_t>(value * 1e9)}; }

  std::int64_t answered() const { return ended(Outcome::kAnswered); }

  TimeNs next_event(TimeNs arrival) const {
    const TimeNs next = std::min(arrival, dispatcher_.next_wakeup().value_or(TimeNs::max()));
    return finishes_.empty() ? next : std::min(next, finishes_.begin()->first);
  }

  void submit() {
    if (free_.empty()) {
      free_.push_back(slots_++);
    }
    const std::uint32_t slot = free_.back();
    const Request request{.id = RequestId::of(slot, ++generation_), .rows = 1, .bytes = 0, .deadline = now_ + kRtMax};
    if (dispatcher_.submit(request, now_) == Admission::kAccepted) {
      free_.pop_back();
    }
  }

  void finish_batches() {
    while (!finishes_.empty() && finishes_.begin()->first <= now_) {
      for (const RequestId request : dispatcher_.complete(finishes_.begin()->second, now_)) {
        free_.push_back(request.slot());
      }
      finishes_.erase(finishes_.begin());
    }
  }

  void serve() {
    const Decisions decisions = dispatcher_.poll(now_);
    for (const Drop& drop : decisions.drops) {
      free_.push_back(drop.request.slot());
    }
    for (const Dispatch& dispatch : decisions.dispatches) {
      const DurationNs extra = stalls_ > 0 ? stall_ : DurationNs::zero();
      stalls_ -= stalls_ > 0 ? 1 : 0;
      finishes_.emplace(now_ + profile_.predict(dispatch.rows) + extra, dispatch.batch);
    }
  }

  LatencyProfile profile_;
  Dispatcher dispatcher_;
  TimeNs now_;
  std::mt19937_64 random_{1};  // NOLINT(bugprone-random-generator-seed): the same on every run
  std::multimap<TimeNs, BatchId> finishes_;
  std::vector<std::uint32_t> free_;
  std::uint32_t slots_ = 0;
  std::uint32_t generation_ = 0;
  DurationNs stall_{};
  int stalls_ = 0;
};

double capacity_of(const LatencyProfile& profile, int workers) {
  return workers * capacity_rows_per_s(profile, kRtMax, kRowsMax);
}

std::vector<LatencyProfile> profiles() {
  return {
      profile_of(10ms, 1ms),     // batching gains much
      profile_of(10ms, 2500us),  // and less
      profile_of(1ms, 5ms),      // next to nothing
      profile_of(40ms, 100us),   // everything
  };
}

TEST_CASE("up to nine tenths of the capacity that fleets are sized by, eight workers keep every promise") {
  for (const LatencyProfile& profile : profiles()) {
    Simulation simulation(profile, 8, true);
    simulation.run(0.9 * capacity_of(profile, 8), 4s);
    CHECK(simulation.violations() == 0);
  }
}

TEST_CASE("whatever the overload, what is answered in time stays at the capacity") {
  for (const LatencyProfile& profile : profiles()) {
    for (const int workers : {1, 8}) {
      const double capacity = capacity_of(profile, workers);
      for (const double load : {1.1, 2.0, 4.0}) {
        CAPTURE(workers);
        CAPTURE(load);
        Simulation simulation(profile, workers, true);
        CHECK(simulation.run(load * capacity, 4s) >= 0.95 * capacity);
      }
    }
  }
}

TEST_CASE("after a spike, and after every worker stalled, all is as before") {
  for (const LatencyProfile& profile : profiles()) {
    for (const bool admission : {true, false}) {
      CAPTURE(admission);
      const double load = 0.6 * capacity_of(profile, 4);
      Simulation simulation(profile, 4, admission);
      simulation.run(load, 1s);
      simulation.stall(300ms, 4);
      simulation.run(load, 1s);
      simulation.run(2 * capacity_of(profile, 4), 1s);
      simulation.run(load, 1s);
      const std::int64_t before = simulation.violations();
      simulation.run(load, 2s);
      CHECK(simulation.violations() == before);
    }
  }
}

}  // namespace
}  // namespace mark
