// What a worker's answers, and the lack of them, say of it: whether it hangs, and when it is worth asking again.
#pragma once

#include <cstdint>

#include "mark/types.h"

namespace mark {

// One worker as a driver sees it, from when it is known until it is forgotten. The core, which ejects slow and failing
// workers, cannot probe one that answers nothing: that is what this is for.
//
// Thread safety: none; belongs to its driver. Reads no clock.
//
// Invariants
//   - it is up from up() until down();
//   - what a batch says of an earlier life changes nothing.
class WorkerLife {
 public:
  using Life = std::uint32_t;

  // How long the driver waits for a batch before it takes the worker for hung: it is this much later than predicted,
  // and later than the SLO allows.
  static DurationNs timeout(DurationNs predicted, DurationNs rt_max);

  bool is_up() const { return up_; }
  Life life() const { return life_; }  // that a batch which is sent now belongs to
  void up() { up_ = true; }
  // True when it was up: its batches are lost then, and the endpoint is to be told.
  bool down();

  void answered() { hangs_ = 0; }
  // A batch of that life got no answer. True for the first of a life, which is to take the worker down.
  bool lost(Life life, bool hung);

  // One late batch may be the machine's fault. So many in a row, and nothing in between, are the worker's: it is better
  // replaced.
  bool is_hung() const;
  // How long it is not asked whether it is ready, though it would say so: nothing after a loss that was no hang, else
  // twice as long with each batch in a row.
  DurationNs left_alone() const;

 private:
  bool up_ = false;
  Life life_ = 0;
  int hangs_ = 0;  // batches in a row that it did not answer
};

// How long to wait before a worker that was not ready is asked again: soon at first, for its socket may be about to be
// bound, then twice as long each time.
//
// Thread safety: none; belongs to its driver. Reads no clock.
class ProbePauses {
 public:
  static constexpr DurationNs kAnswerTimeout{2'000'000'000};  // of the question itself

  DurationNs next();
  void restart() { pause_ = kFirst; }

 private:
  static constexpr DurationNs kFirst{50'000'000};
  static constexpr DurationNs kMax{1'000'000'000};

  DurationNs pause_ = kFirst;
};

}  // namespace mark
