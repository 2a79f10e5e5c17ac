// What became of the simulated requests, in all and by the time at which they arrived.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "mark/latency_histogram.h"
#include "mark/types.h"

namespace mark {

// How a simulated request ended; each ends once.
enum class Ending : std::uint8_t {
  kInstance,    // answered in time by an instance
  kServerless,  // answered in time by a function
  kRefused,     // not answered: refused at the door, given up in the queue, or lost
  kLate,        // answered after its deadline
  kShed,        // not answered: the budget does not pay for it
};
inline constexpr int kEndings = 5;

// Thread safety: none.
class Tally {
 public:
  // By minute or whatever `bin` is. Requests that arrive before `begin` are not counted: they only set the scene.
  Tally(DurationNs bin, TimeNs begin) : bin_(bin), begin_(begin) {}

  void offered(TimeNs arrival) {
    if (arrival >= begin_) {
      ++offered_;
      ++at(offered_by_bin_, arrival);
    }
  }
  void burst(TimeNs arrival) {
    if (arrival >= begin_) {
      ++at(burst_by_bin_, arrival);
    }
  }
  void answered(Ending ending, TimeNs arrival, TimeNs now) {
    if (arrival >= begin_) {
      latency_.record(now - arrival);
      ended(ending, arrival);
    }
  }
  void unanswered(Ending ending, TimeNs arrival) {
    if (arrival >= begin_) {
      ended(ending, arrival);
    }
  }

  std::uint64_t offered() const { return offered_; }
  std::uint64_t ended(Ending ending) const { return ended_[static_cast<std::size_t>(ending)]; }
  const std::vector<std::uint64_t>& offered_by_bin() const { return offered_by_bin_; }
  const std::vector<std::uint64_t>& in_time_by_bin() const { return in_time_by_bin_; }
  const std::vector<std::uint64_t>& burst_by_bin() const { return burst_by_bin_; }
  const LatencyHistogram& latency() const { return latency_; }

 private:
  void ended(Ending ending, TimeNs arrival) {
    ++ended_[static_cast<std::size_t>(ending)];
    if (ending == Ending::kInstance || ending == Ending::kServerless) {
      ++at(in_time_by_bin_, arrival);
    }
  }

  std::uint64_t& at(std::vector<std::uint64_t>& counts, TimeNs arrival) const {
    const auto bin = static_cast<std::size_t>((arrival - begin_) / bin_);
    if (bin >= counts.size()) {
      counts.resize(bin + 1);
    }
    return counts[bin];
  }

  DurationNs bin_;
  TimeNs begin_;
  std::uint64_t offered_ = 0;
  std::array<std::uint64_t, kEndings> ended_{};
  std::vector<std::uint64_t> offered_by_bin_;
  std::vector<std::uint64_t> in_time_by_bin_;
  std::vector<std::uint64_t> burst_by_bin_;  // sent to functions
  LatencyHistogram latency_;
};

}  // namespace mark
