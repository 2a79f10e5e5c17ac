// What became of the requests that instances could not answer: beside the dispatcher's statistics, and together.
#pragma once

#include <array>
#include <cstdint>

#include "mark/burst_policy.h"
#include "mark/latency_histogram.h"
#include "mark/request.h"
#include "mark/statistics.h"
#include "mark/types.h"

namespace mark {

struct BurstStatistics {
  std::array<std::uint64_t, kBurstVerdicts> decided{};  // requests that instances could not answer, by BurstVerdict
  std::array<std::uint64_t, kOutcomes> taken{};         // those that were sent, by what they had ended as otherwise
  std::array<std::uint64_t, kOutcomes> ended{};         // those that were sent, by what they ended as
  std::int64_t in_flight = 0;                           // those that wait for a function's answer
  LatencyHistogram latency;                             // arrival to answer, of answered and late ones
};

// The dispatcher has counted a request that goes to a function as refused or dropped. The whole counts it once, by how
// it really ended; offered load is the dispatcher's.
Statistics with_bursts(Statistics instances, const BurstStatistics& bursts);

// Thread safety: none.
// Invariant: in_flight is what was sent less what was answered, ended or given up.
class BurstLedger {
 public:
  // margin: as the dispatcher's; a client that leaves within it of the deadline has waited in vain.
  explicit BurstLedger(DurationNs margin) : margin_(margin) {}

  void decided(BurstVerdict verdict) { ++statistics_.decided[static_cast<std::size_t>(verdict)]; }
  void sent(Outcome otherwise);
  void answered(TimeNs arrival, TimeNs deadline, TimeNs now);
  void ended(Outcome outcome);
  void left(TimeNs deadline, TimeNs now);  // the client did

  const BurstStatistics& statistics() const { return statistics_; }

 private:
  DurationNs margin_;
  BurstStatistics statistics_;
};

}  // namespace mark
