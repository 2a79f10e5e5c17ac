#include "mark/balancer.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace mark {
namespace {

auto position(auto& workers, WorkerId id) {
  return std::lower_bound(workers.begin(), workers.end(), id,
                          [](const Worker& worker, WorkerId wanted) { return worker.id < wanted; });
}

// How the predicted finish of a worker changes while a nanosecond passes: a busy one finishes when it finishes, an idle
// one later by what is waited, an overdue one by as much again.
int finish_slope(const Worker& worker, TimeNs now) {
  if (worker.batches_in_flight == 0) {
    return 1;
  }
  return now < worker.busy_until ? 0 : 2;
}

// The first instant after `now` at which `busy` no longer finishes busy_rows before `free` finishes free_rows, as it
// does now. Predictions are linear between the instants at which a worker becomes overdue.
TimeNs first_not_sooner(const Worker& busy, int busy_rows, const Worker& free, int free_rows, TimeNs now) {
  while (true) {
    const DurationNs lead = free.finish(free_rows, now) - busy.finish(busy_rows, now);
    const int closing = finish_slope(busy, now) - finish_slope(free, now);
    const TimeNs met = closing > 0 ? now + (lead + DurationNs{closing - 1}) / closing : TimeNs::max();
    TimeNs bend = TimeNs::max();
    for (const Worker* worker : {&busy, &free}) {
      if (worker->batches_in_flight > 0 && worker->busy_until > now) {
        bend = std::min(bend, worker->busy_until);
      }
    }
    if (met <= bend) {
      return met;
    }
    now = bend;
  }
}

}  // namespace

void Balancer::add(Worker worker) {
  const auto at = position(workers_, worker.id);
  workers_.insert(at, std::move(worker));
  rescan();
}

void Balancer::drain(WorkerId id) {
  known(id).draining = true;
  rescan();
}

void Balancer::eject(WorkerId id) {
  known(id).ejected = true;
  rescan();
}

void Balancer::readmit(WorkerId id) {
  known(id).ejected = false;
  rescan();
}

void Balancer::correct(WorkerId id, double factor) {
  Worker& worker = known(id);
  worker.correction = factor;
  worker.profile = worker.measured.times(factor);
  worker.limits = policy_.limits(worker.profile, rt_max_, worker.rows_max);
  rescan();
}

void Balancer::retune(DurationNs rt_max) {
  rt_max_ = rt_max;
  for (Worker& worker : workers_) {
    worker.limits = policy_.limits(worker.profile, rt_max_, worker.rows_max);
  }
  rescan();
}

void Balancer::remove(WorkerId id) {
  workers_.erase(position(workers_, id));
  rescan();
}

const Worker* Balancer::find(WorkerId id) const {
  const auto at = position(workers_, id);
  return at != workers_.end() && at->id == id ? &*at : nullptr;
}

Worker& Balancer::known(WorkerId id) { return *position(workers_, id); }

void Balancer::launched(WorkerId id, DurationNs service, TimeNs now) {
  Worker& worker = known(id);
  const bool was_free = worker.takes_batches();
  worker.launched(service, now);
  free_ -= was_free && !worker.takes_batches() ? 1 : 0;
}

void Balancer::finished(WorkerId id, DurationNs service, TimeNs now) {
  Worker& worker = known(id);
  const bool was_free = worker.takes_batches();
  worker.finished(service, now);
  free_ += worker.takes_batches() && !was_free ? 1 : 0;
}

void Balancer::rescan() {
  free_ = n_batch_max_ = n_sustained_max_ = rows_max_ = 0;
  equal_rows_max_ = true;
  rate_ = 0;
  std::fill(fastest_.begin(), fastest_.end(), std::nullopt);
  ready_ =
      static_cast<int>(std::count_if(workers_.begin(), workers_.end(), [](const Worker& w) { return w.serves(); }));
  bool first = true;
  for (Worker& worker : workers_) {
    if (!worker.serves()) {
      continue;
    }
    worker.limits.n_sustained = sustained_rows(worker.profile, rt_max_, worker.limits.n_batch, ready_);
    equal_rows_max_ = equal_rows_max_ && (first || worker.rows_max == rows_max_);
    first = false;
    free_ += worker.takes_batches() ? 1 : 0;
    n_batch_max_ = std::max(n_batch_max_, worker.limits.n_batch);
    n_sustained_max_ = std::max(n_sustained_max_, worker.limits.n_sustained);
    rows_max_ = std::max(rows_max_, worker.rows_max);
    rate_ += worker.rows_per_s();
    for (int rows = 1; rows <= worker.rows_max; ++rows) {
      std::optional<DurationNs>& fastest = fastest_[static_cast<std::size_t>(rows) - 1];
      const DurationNs latency = worker.profile.predict(rows);
      fastest = std::min(fastest.value_or(latency), latency);
    }
  }
}

int Balancer::free_rows_max() const {
  if (equal_rows_max_) {
    return free_ > 0 ? rows_max_ : 0;
  }
  int most = 0;
  for (const Worker& worker : workers_) {
    most = worker.takes_batches() ? std::max(most, worker.rows_max) : most;
  }
  return most;
}

DurationNs Balancer::until_free(TimeNs now) const {
  std::optional<DurationNs> least;
  for (const Worker& worker : workers_) {
    if (worker.serves()) {
      least = std::min(least.value_or(DurationNs::max()), worker.remaining(now));
      if (*least == DurationNs::zero()) {
        break;
      }
    }
  }
  return least.value_or(DurationNs::zero());
}

BalancerChoice Balancer::choose(const BatchFront& front, TimeNs now) const {
  BalancerChoice choice;
  BatchCandidate& best = choice.candidate;
  bool best_in_time = false;
  TimeNs best_finish = TimeNs::max();
  for (const Worker& worker : workers_) {
    if (!worker.takes_batches()) {
      continue;
    }
    const BatchTake take = policy_.take(front, worker, now);
    if (take.requests == 0) {
      continue;
    }
    best.another_free = best.worker != nullptr;
    const bool in_time = worker.finish(front.rows(1), now) <= front.deadline;
    const TimeNs finish = worker.finish(take.rows, now);
    if (in_time > best_in_time || (in_time == best_in_time && finish < best_finish)) {
      best.worker = &worker;
      best.take = take;
      best_finish = finish;
      best_in_time = in_time;
    }
  }
  if (best.worker == nullptr) {
    return choice;
  }
  if (best_in_time) {
    choice.hold_until = hold(front, best, now);
  } else {
    choice.left_to_busy_until = in_time_on_busy(front, now);
    choice.head_is_lost = !choice.left_to_busy_until;
  }
  return choice;
}

bool Balancer::free_in_time(int rows, TimeNs deadline, TimeNs now) const {
  return std::any_of(workers_.begin(), workers_.end(), [&](const Worker& worker) {
    return worker.takes_batches() && rows <= worker.rows_max && worker.finish(rows, now) <= deadline;
  });
}

// Until when a worker that is busy now would still finish the head in time; empty when none does.
std::optional<TimeNs> Balancer::in_time_on_busy(const BatchFront& front, TimeNs now) const {
  std::optional<TimeNs> until;
  for (const Worker& worker : workers_) {
    if (!worker.serves() || worker.takes_batches() || front.rows(1) > worker.rows_max) {
      continue;
    }
    const TimeNs latest = worker.latest_launch(front.deadline - worker.profile.predict(front.rows(1)));
    if (latest >= now) {
      until = std::max(until.value_or(now), latest + DurationNs{1});
    }
  }
  return until;
}

// The busy worker that finishes the whole queue in one batch first, if that is sooner than `than`.
const Worker* Balancer::sooner_busy(const BatchFront& front, TimeNs than, TimeNs now) const {
  const int rows = front.rows(front.size());
  const Worker* best = nullptr;
  for (const Worker& worker : workers_) {
    const int limit = front.size() == 1 ? worker.rows_max : worker.limits.n_batch;
    if (!worker.serves() || worker.takes_batches() || rows > limit) {
      continue;
    }
    const TimeNs finish = worker.finish(rows, now);
    if (finish < than) {
      best = &worker;
      than = finish;
    }
  }
  return best;
}

// Until when the free candidate, which finishes the head in time, had better leave the queue to a busy worker; empty
// when it should take its batch.
std::optional<TimeNs> Balancer::hold(const BatchFront& front, const BatchCandidate& candidate, TimeNs now) const {
  if (!front.whole || candidate.take.cut_by_time()) {
    return std::nullopt;
  }
  const Worker& free = *candidate.worker;
  const int rows = candidate.take.rows;
  const Worker* busy = sooner_busy(front, free.finish(rows, now), now);
  if (busy == nullptr) {
    return std::nullopt;
  }
  const TimeNs until = first_not_sooner(*busy, front.rows(front.size()), free, rows, now);
  const TimeNs slack = policy_.latest_launch(free, rows, front.deadline_of(candidate.take.requests));
  return now < slack ? std::optional{std::min(until, slack)} : std::nullopt;
}

}  // namespace mark
