// Tells a busy peer from one that sends frames which cost it nothing and the other side something.
#pragma once

#include "mark/types.h"

namespace mark::net {

// Of one connection. A call that is served to its end earns frames and resets, so that a peer that works may cancel and
// ping as it likes; one that does nothing else comes to the end of what it has.
struct FloodLimits {
  double frames_burst = 10'000;      // PING, SETTINGS, PRIORITY, WINDOW_UPDATE, empty DATA; unknown ones are skipped
  double frames_per_second = 1'000;  // that come back by themselves
  double frames_per_call = 8;        // that a call earns, and half of it a DATA frame that was sent
  double resets_burst = 5'000;       // of streams that end without an answer
  double resets_per_second = 1'000;
  double resets_per_call = 1;
  int continuations_max = 64;  // CONTINUATION frames of one header block
};

// Tokens that are taken and come back with time.
//
// Invariants
//   - never more tokens than the burst.
class TokenBucket {
 public:
  TokenBucket(double burst, double per_second, TimeNs now)
      : burst_(burst), per_second_(per_second), tokens_(burst), filled_(now) {}

  bool take(double count, TimeNs now);  // false when there are not so many
  void earn(double count);

 private:
  double burst_;
  double per_second_;
  double tokens_;
  TimeNs filled_;
};

// Thread safety: none; belongs to its connection. Time is told.
class FloodGuard {
 public:
  FloodGuard(const FloodLimits& limits, TimeNs now);

  // False when it is a flood.
  bool on_cheap_frame(TimeNs now) { return frames_.take(1, now); }
  // A stream that was reset, by either side. One that has been open for a while has cost its peer that time.
  bool on_reset(TimeNs opened, TimeNs now);
  void on_header_block() { continuations_ = 0; }
  bool on_continuation() { return ++continuations_ <= limits_.continuations_max; }

  void on_call_served();
  void on_data_sent() { frames_.earn(limits_.frames_per_call / 2); }

 private:
  FloodLimits limits_;
  TokenBucket frames_;
  TokenBucket resets_;
  int continuations_ = 0;
};

}  // namespace mark::net
