// A burstable instance's credits, as EC2 counts them for T2 and T3.
#pragma once

#include <algorithm>
#include <chrono>

#include "mark/types.h"

namespace mark {

struct CreditParams {
  double baseline_share = 1;  // of full speed: earned as time passes, and what is left without credits
  double credits_s = 0;       // seconds at full speed that it has at first
  double credits_max_s = 0;   // more are not kept
  bool unlimited = false;     // full speed without credits, too: what it lacks is billed (T3 unlimited)
};

// Work at full speed takes 1 of a credit a second, while baseline_share a second is earned; without credits the work
// goes on at the baseline, which earns what it takes.
//
// Thread safety: none.
class CreditBucket {
 public:
  CreditBucket(const CreditParams& params, TimeNs now) : params_(params), credits_s_(params.credits_s), at_(now) {}

  // How long work takes that takes `work` at full speed and begins now. One piece of work at a time: `now` must not lie
  // before the end of the one before.
  DurationNs run(DurationNs work, TimeNs now) {
    earn(now);
    const double drain = 1 - params_.baseline_share;
    const double work_s = std::chrono::duration<double>(work).count();
    const double lacking_s = work_s * drain - credits_s_;  // of credits
    if (lacking_s <= 0) {
      credits_s_ -= work_s * drain;
      at_ = now + work;
      return work;
    }
    credits_s_ = 0;
    if (params_.unlimited) {
      surplus_s_ += lacking_s;
      at_ = now + work;
      return work;
    }
    // The part that credits do not pay for goes on at the baseline.
    const double slow_work_s = lacking_s / drain;
    const double spent_s = work_s - slow_work_s + slow_work_s / params_.baseline_share;
    const auto spent = std::chrono::duration_cast<DurationNs>(std::chrono::duration<double>{spent_s});
    at_ = now + spent;
    return spent;
  }

  double credits_s(TimeNs now) {
    earn(now);
    return credits_s_;
  }
  // Seconds at full speed that were used without credits (unlimited).
  double surplus_s() const { return surplus_s_; }

 private:
  void earn(TimeNs now) {
    if (now > at_) {
      const double idle_s = std::chrono::duration<double>(now - at_).count();
      credits_s_ = std::min(std::max(credits_s_, params_.credits_max_s), credits_s_ + idle_s * params_.baseline_share);
      at_ = now;
    }
  }

  CreditParams params_;
  double credits_s_;
  double surplus_s_ = 0;
  TimeNs at_;  // until when it was earned and spent
};

}  // namespace mark
