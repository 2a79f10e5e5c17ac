#include "mark/burst_ledger.h"

#include <cstddef>

namespace mark {

Statistics with_bursts(Statistics instances, const BurstStatistics& bursts) {
  for (std::size_t outcome = 0; outcome < kOutcomes; ++outcome) {
    instances.ended[outcome] += bursts.ended[outcome];
    instances.ended[outcome] -= bursts.taken[outcome];
  }
  instances.in_flight_requests += bursts.in_flight;
  instances.latency.add(bursts.latency);
  return instances;
}

void BurstLedger::sent(Outcome otherwise) {
  ++statistics_.taken[static_cast<std::size_t>(otherwise)];
  ++statistics_.in_flight;
}

void BurstLedger::answered(TimeNs arrival, TimeNs deadline, TimeNs now) {
  statistics_.latency.record(now - arrival);
  ended(now <= deadline ? Outcome::kAnswered : Outcome::kLate);
}

void BurstLedger::ended(Outcome outcome) {
  ++statistics_.ended[static_cast<std::size_t>(outcome)];
  --statistics_.in_flight;
}

void BurstLedger::left(TimeNs deadline, TimeNs now) {
  ended(now + margin_ >= deadline ? Outcome::kExpired : Outcome::kCancelled);
}

}  // namespace mark
