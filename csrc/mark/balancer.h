// Which worker takes the next batch: the one that is predicted to finish it first.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "mark/batch_policy.h"
#include "mark/batch_queue.h"
#include "mark/types.h"
#include "mark/worker.h"

namespace mark {

// What to do with a front. Exactly one of these holds:
//   - candidate.worker is null: no free worker could take the head;
//   - hold_until is set: better wait, for a busy worker is predicted to finish everything sooner, until this instant;
//   - left_to_busy_until is set: the head would be late on every free worker, and in time on one that is busy now;
//   - head_is_lost: no ready worker finishes the head in time, the candidate the least late;
//   - none of the above: the candidate should take its batch.
struct BalancerChoice {
  BatchCandidate candidate;
  std::optional<TimeNs> hold_until;
  std::optional<TimeNs> left_to_busy_until;  // the first instant at which that is no longer so
  bool head_is_lost = false;
};

// The workers that are up, and what they are predicted to do.
//
// Invariants
//   - workers_ is sorted by id, so that ties go to the lower id on every run;
//   - free_, ready_, rate_, n_batch_max_, n_sustained_max_, rows_max_ and fastest_ are what a scan of workers_ would
//     give.
class Balancer {
 public:
  // rows_max: the most rows of a request; rt_max: what a batch and the wait for it may take.
  Balancer(const BatchPolicy& policy, int rows_max, DurationNs rt_max)
      : policy_(policy), rt_max_(rt_max), fastest_(static_cast<std::size_t>(rows_max)) {}

  const Worker* find(WorkerId id) const;  // null when it is not up
  void add(Worker worker);                // not up yet
  // These are about a worker that is up.
  void drain(WorkerId id);
  void eject(WorkerId id);
  void readmit(WorkerId id);
  void correct(WorkerId id, double factor);  // from now on it takes that many times as long as its profile says
  void remove(WorkerId id);
  void launched(WorkerId id, DurationNs service, TimeNs now);
  void finished(WorkerId id, DurationNs service, TimeNs now);

  // The policy, or what a batch and the wait for it may take, is another now.
  void retune(DurationNs rt_max);

  int ready() const { return ready_; }  // workers that serve: neither draining nor ejected
  bool any_free() const { return free_ > 0; }
  int n_batch_max() const { return n_batch_max_; }          // of the ready workers; 0 when there are none
  int n_sustained_max() const { return n_sustained_max_; }  // likewise
  double rows_per_s() const { return rate_; }               // of the ready workers together, in sustained batches
  // The most rows that a request may have to be taken by a worker that is free now; 0 when none is.
  int free_rows_max() const;

  // The least time in which a ready worker answers so many rows, sent alone; empty when none takes so many.
  std::optional<DurationNs> fastest(int rows) const { return fastest_[static_cast<std::size_t>(rows) - 1]; }
  // Until a ready worker can start another batch; zero when one can, or when there is none at all.
  DurationNs until_free(TimeNs now) const;

  BalancerChoice choose(const BatchFront& front, TimeNs now) const;
  // Whether a worker that is free now would finish so many rows, sent alone, by the deadline.
  bool free_in_time(int rows, TimeNs deadline, TimeNs now) const;

 private:
  Worker& known(WorkerId id);
  void rescan();
  std::optional<TimeNs> in_time_on_busy(const BatchFront& front, TimeNs now) const;
  const Worker* sooner_busy(const BatchFront& front, TimeNs than, TimeNs now) const;
  std::optional<TimeNs> hold(const BatchFront& front, const BatchCandidate& candidate, TimeNs now) const;

  const BatchPolicy& policy_;
  DurationNs rt_max_;
  std::vector<Worker> workers_;
  std::vector<std::optional<DurationNs>> fastest_;  // by rows - 1
  int ready_ = 0;
  int free_ = 0;
  int n_batch_max_ = 0;
  int n_sustained_max_ = 0;
  int rows_max_ = 0;
  bool equal_rows_max_ = true;
  double rate_ = 0;
};

}  // namespace mark
