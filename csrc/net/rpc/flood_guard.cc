#include "net/rpc/flood_guard.h"

#include <algorithm>
#include <chrono>

namespace mark::net {

namespace {

// A stream that lived so long is reset for free: no more of them than streams at once can end in that time.
constexpr std::chrono::duration<double> kFreeAge{1.0};

}  // namespace

bool TokenBucket::take(double count, TimeNs now) {
  const std::chrono::duration<double> passed = std::max(now, filled_) - filled_;
  filled_ = std::max(now, filled_);
  tokens_ = std::min(burst_, tokens_ + passed.count() * per_second_);
  if (tokens_ < count) return false;
  tokens_ -= count;
  return true;
}

void TokenBucket::earn(double count) { tokens_ = std::min(burst_, tokens_ + count); }

FloodGuard::FloodGuard(const FloodLimits& limits, TimeNs now)
    : limits_(limits),
      frames_(limits.frames_burst, limits.frames_per_second, now),
      resets_(limits.resets_burst, limits.resets_per_second, now) {}

bool FloodGuard::on_reset(TimeNs opened, TimeNs now) {
  const std::chrono::duration<double> age = now - opened;
  return resets_.take(std::clamp(1.0 - age / kFreeAge, 0.0, 1.0), now);
}

void FloodGuard::on_call_served() {
  frames_.earn(limits_.frames_per_call);
  resets_.earn(limits_.resets_per_call);
}

}  // namespace mark::net
