#include "mark/fleet_health.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace mark {
namespace {

// A correction that moved by less than this is not passed on: that costs a look at every worker and every batch size.
constexpr double kTold = 0.05;
// A worker so many times slower than the median of its class is sick.
constexpr double kFarAbove = 3;
constexpr int kFailuresInRow = 5;
constexpr int kEjectedShareInverse = 3;
constexpr DurationNs kBackOff = std::chrono::seconds{1};
constexpr DurationNs kBackOffMax = std::chrono::seconds{30};
constexpr int kDoublingsMax = 5;
// Healthy for so long, it is ejected for the shortest time again.
constexpr DurationNs kForgivenAfter = std::chrono::minutes{1};

double ratio(DurationNs a, DurationNs b) { return static_cast<double>(a.count()) / static_cast<double>(b.count()); }

}  // namespace

void FleetHealth::up(WorkerId worker) { workers_.emplace(worker, Health{}); }

void FleetHealth::down(WorkerId worker) {
  const auto node = workers_.extract(worker);
  ejected_ -= !node.empty() && node.mapped().probe_at ? 1 : 0;
  readmit_all_if_alone();
}

void FleetHealth::retune(DurationNs rt_max, DurationNs allowance, bool corrects) {
  rt_max_ = rt_max;
  allowance_ = allowance;
  corrects_ = corrects;
  for (auto& [id, health] : workers_) {
    if (!corrects) {
      health.correction = ServiceCorrection{};
    }
    apply(id, health);
  }
}

void FleetHealth::drained() { readmit_all_if_alone(); }

// Sick workers are better than none.
void FleetHealth::readmit_all_if_alone() {
  if (ejected_ == 0 || balancer_.ready() > 0) {
    return;
  }
  for (auto& [id, health] : workers_) {
    if (health.probe_at) {
      health.failures = 0;
      readmit(id, health, TimeNs::min());
    }
  }
}

void FleetHealth::answered(WorkerId worker, TimeNs launched, DurationNs measured, TimeNs now) {
  Health& health = workers_.at(worker);
  const DurationNs took = now - std::max(launched, health.answered);
  health.answered = now;
  const bool was_probe = std::exchange(health.probing, false);
  if (took <= DurationNs::zero()) {
    return;  // everybody had left before it was sent
  }
  ++answers_;
  ++health.batches;
  if (health.probe_at) {
    const double factor = ratio(took - allowance_, measured);
    if (!was_probe) {
      return;  // a batch that it had when it was ejected
    }
    if (corrects_ && far_above(worker, factor, now)) {
      back_off(health, now);
      return;
    }
    health.correction.restart(std::max(1.0, factor), now);
    health.failures = 0;
    readmit(worker, health, now);
    return;
  }
  health.failures = 0;
  if (!corrects_) {
    return;
  }
  health.correction.observe(took, measured, allowance_, now);
  apply(worker, health);
  if (far_above(worker, health.correction.factor(), now)) {
    eject(worker, health, now);
  }
}

void FleetHealth::failed(WorkerId worker, TimeNs now) {
  Health& health = workers_.at(worker);
  health.answered = now;
  if (std::exchange(health.probing, false)) {
    back_off(health, now);
    return;
  }
  if (health.failures++ == 0) {
    health.others_before = answers_;
  }
  // Where everything fails it is the requests, or the model.
  if (!health.probe_at && health.failures >= kFailuresInRow && answers_ > health.others_before) {
    eject(worker, health, now);
  }
}

// However slow it has become, a worker that could answer one row in time by its profile is let try: refusing everything
// on its account would leave nothing to learn from.
void FleetHealth::apply(WorkerId id, const Health& health) {
  const Worker& worker = *balancer_.find(id);
  const double most = std::max(1.0, ratio(rt_max_, worker.measured.predict(1)));
  const double factor = std::min(health.correction.factor(), most);
  if (std::abs(factor - worker.correction) >= kTold * worker.correction) {
    balancer_.correct(id, factor);
  }
}

// Compared with the others of its profile that were heard of lately; with its profile alone when there are none, it is
// slow but not sick.
bool FleetHealth::far_above(WorkerId id, double factor, TimeNs now) const {
  if (factor < kFarAbove * ServiceCorrection::kFactorMin) {
    return false;
  }
  const LatencyProfile& profile = balancer_.find(id)->measured;
  std::vector<double> others;
  for (const auto& [other, health] : workers_) {
    const Worker* worker = balancer_.find(other);
    if (other != id && worker->serves() && health.correction.is_fresh(now) && worker->measured == profile) {
      others.push_back(health.correction.factor());
    }
  }
  if (others.empty()) {
    return false;
  }
  const auto middle = others.begin() + static_cast<std::ptrdiff_t>((others.size() - 1) / 2);
  std::nth_element(others.begin(), middle, others.end());
  return factor >= kFarAbove * *middle;
}

void FleetHealth::eject(WorkerId id, Health& health, TimeNs now) {
  const int all = balancer_.ready() + ejected_;
  if (!balancer_.find(id)->serves() || balancer_.ready() < 2 || ejected_ >= std::max(1, all / kEjectedShareInverse)) {
    return;
  }
  if (health.readmitted > TimeNs::min() && now - health.readmitted > kForgivenAfter) {
    health.back_offs = 0;
  }
  ++ejected_;
  ++ejections_;
  back_off(health, now);
  balancer_.eject(id);
}

void FleetHealth::back_off(Health& health, TimeNs now) {
  const int doublings = std::min(health.back_offs++, kDoublingsMax);
  const std::int64_t factor = std::int64_t{1U << static_cast<unsigned>(doublings)};
  health.probe_at = now + std::min(kBackOffMax, kBackOff * factor);
}

void FleetHealth::readmit(WorkerId id, Health& health, TimeNs now) {
  --ejected_;
  health.probe_at.reset();
  health.probing = false;
  health.readmitted = now;
  balancer_.readmit(id);
  apply(id, health);
}

std::optional<WorkerId> FleetHealth::due_for_probe(TimeNs now) const {
  if (ejected_ == 0) {
    return std::nullopt;
  }
  std::optional<WorkerId> due;
  for (const auto& [id, health] : workers_) {
    const bool is_due = health.probe_at && *health.probe_at <= now && !health.probing;
    if (is_due && balancer_.find(id)->is_idle() && (!due || id < *due)) {
      due = id;
    }
  }
  return due;
}

void FleetHealth::probed(WorkerId worker) { workers_.at(worker).probing = true; }

std::vector<WorkerStatistics> FleetHealth::statistics() const {
  std::vector<WorkerStatistics> all;
  all.reserve(workers_.size());
  for (const auto& [id, health] : workers_) {
    all.push_back({.worker = id,
                   .correction = balancer_.find(id)->correction,
                   .ejected = health.probe_at.has_value(),
                   .batches = health.batches});
  }
  std::sort(all.begin(), all.end(),
            [](const WorkerStatistics& a, const WorkerStatistics& b) { return a.worker < b.worker; });
  return all;
}

}  // namespace mark
