// What the workers' answers say about them: how far off their profiles are, and which of them are sick.
#pragma once

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "mark/balancer.h"
#include "mark/service_correction.h"
#include "mark/statistics.h"
#include "mark/types.h"

namespace mark {

// Corrects the profile of a slow worker, so that it gets less, and ejects a sick one, so that it gets nothing: one that
// failed several batches in a row while others succeeded, or that is far slower, against its profile, than the others
// of the same profile. An ejected worker is sent a copy of a batch now and then, whose answer goes to nobody; the first
// good one lets it in again. The rules are those of outlier detection in service meshes, with shorter times, for a
// probe costs no client anything: docs/decisions/0019.
//
// Thread safety: none. Passive: told what happened, with the time.
//
// Invariants
//   - the balancer's correction of a worker differs from what was learned by less than kTold, but for its bounds;
//   - at most a third of the workers are ejected, or one of two or three; never the last that takes batches.
class FleetHealth {
 public:
  // allowance: of a batch's observed time, what may have been spent on the way. The balancer must outlive it.
  FleetHealth(Balancer& balancer, DurationNs rt_max, DurationNs allowance, bool corrects)
      : balancer_(balancer), rt_max_(rt_max), allowance_(allowance), corrects_(corrects) {}

  void up(WorkerId worker);
  void down(WorkerId worker);  // gone from the balancer already
  void drained();              // some worker takes no further batch

  // Other parameters; without correction what was learned is forgotten.
  void retune(DurationNs rt_max, DurationNs allowance, bool corrects);

  // A batch that was launched then came back; its profile, uncorrected, says `measured`.
  void answered(WorkerId worker, TimeNs launched, DurationNs measured, TimeNs now);
  void failed(WorkerId worker, TimeNs now);

  // An ejected worker that has nothing to do and is due for a copy of a batch.
  std::optional<WorkerId> due_for_probe(TimeNs now) const;
  void probed(WorkerId worker);  // it was sent one

  std::vector<WorkerStatistics> statistics() const;
  std::uint64_t ejections() const { return ejections_; }

 private:
  struct Health {
    ServiceCorrection correction;
    TimeNs answered = TimeNs::min();  // the last batch: the next one began no sooner
    int failures = 0;                 // in a row
    std::uint64_t others_before = 0;  // answers of all workers when the first of those failures came
    std::uint64_t batches = 0;
    int back_offs = 0;  // in a row
    std::optional<TimeNs> probe_at;
    bool probing = false;
    TimeNs readmitted = TimeNs::min();
  };

  void apply(WorkerId id, const Health& health);
  bool far_above(WorkerId id, double factor, TimeNs now) const;
  void eject(WorkerId id, Health& health, TimeNs now);
  void readmit(WorkerId id, Health& health, TimeNs now);
  void back_off(Health& health, TimeNs now);
  void readmit_all_if_alone();

  Balancer& balancer_;
  DurationNs rt_max_;
  DurationNs allowance_;
  bool corrects_;
  std::unordered_map<WorkerId, Health> workers_;
  int ejected_ = 0;
  std::uint64_t answers_ = 0;
  std::uint64_t ejections_ = 0;
};

}  // namespace mark
