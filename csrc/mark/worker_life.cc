#include "mark/worker_life.h"

#include <algorithm>

namespace mark {

namespace {

constexpr DurationNs kHungAfter{2'000'000'000};
constexpr DurationNs kLeftAlone{1'000'000'000};
constexpr DurationNs kLeftAloneMax{30'000'000'000};
constexpr int kHungBatches = 2;
constexpr int kDoublingsMax = 5;  // 32 times the first are beyond the most

}  // namespace

DurationNs WorkerLife::timeout(DurationNs predicted, DurationNs rt_max) {
  return std::max(predicted, rt_max) + kHungAfter;
}

bool WorkerLife::down() {
  if (!up_) return false;
  up_ = false;
  ++life_;
  return true;
}

bool WorkerLife::lost(Life life, bool hung) {
  if (life != life_) return false;
  hangs_ = hung ? hangs_ + 1 : 0;
  return true;
}

bool WorkerLife::is_hung() const { return hangs_ >= kHungBatches; }

DurationNs WorkerLife::left_alone() const {
  if (hangs_ == 0) return DurationNs::zero();
  return std::min(kLeftAloneMax, kLeftAlone * (1U << static_cast<unsigned>(std::min(hangs_ - 1, kDoublingsMax))));
}

DurationNs ProbePauses::next() {
  const DurationNs pause = pause_;
  pause_ = std::min(kMax, 2 * pause);
  return pause;
}

}  // namespace mark
