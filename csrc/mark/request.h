// Values that enter and leave the dispatcher.
#pragma once

#include <cstdint>
#include <vector>

#include "mark/types.h"

namespace mark {

// One inference request, as numbers: its payload lies in a slot beside the dispatcher.
struct Request {
  RequestId id;
  int rows = 1;             // rows that it adds to a batch (its tensors' first dimension)
  std::int64_t bytes = 0;   // what its payload holds in memory, for the queue's byte bound
  TimeNs deadline;          // min(arrival + rt_max, the client's own deadline)
  std::uint32_t shape = 0;  // requests of unequal shape never share a batch
  int priority = 1;         // 1 goes first, whatever the deadlines
};

// What the door answers to a request. Everything but kAccepted ends the request there.
enum class Admission : std::uint8_t {
  kAccepted,
  kQueueFull,      // the bound on requests or bytes is reached
  kPredictedMiss,  // no ready worker can finish it before its deadline
  kExpired,        // the deadline had passed on arrival
  kTooManyRows,    // more rows than any batch may hold
  kShed,           // of the lowest priority, which the budget does not pay for in full
};

// Why a batch was launched when it was.
enum class DispatchReason : std::uint8_t {
  kFull,    // no further row fits, or the next request has another shape or cannot be included in time
  kIdle,    // a worker is free and waiting gains nothing
  kSlack,   // the head request would miss its deadline if it waited longer
  kWindow,  // W_batch has passed since the head request arrived
};

struct Dispatch {
  BatchId batch;
  WorkerId worker;
  std::vector<RequestId> requests;  // in deadline order
  int rows = 0;
  int size = 0;  // rows to send, padding included; 0: as many as there are
  DispatchReason reason = DispatchReason::kIdle;
  TimeNs predicted_finish;
  TimeNs earliest_deadline;
  bool probe = false;  // a copy for an ejected worker: its answer tells how that one is, and goes to nobody
};

// How a request ended.
enum class Outcome : std::uint8_t {
  kAnswered,  // within its deadline
  kLate,      // answered after its deadline: a violation
  kQueueFull,
  kPredictedMiss,
  kExpired,     // left the queue uncomputed because its deadline passed
  kCancelled,   // by the client; counts neither for nor against the SLO
  kWorkerLost,  // its worker died and no retry was left
  kModelError,  // the model itself failed on this request, alone in a batch
  kShed,        // refused at the door for the budget's sake
};
inline constexpr int kOutcomes = 9;

// What a request that was not accepted ends as.
constexpr Outcome outcome_of(Admission refusal) {
  switch (refusal) {
    case Admission::kQueueFull:
      return Outcome::kQueueFull;
    case Admission::kPredictedMiss:
      return Outcome::kPredictedMiss;
    case Admission::kShed:
      return Outcome::kShed;
    default:
      return Outcome::kExpired;
  }
}

// A request that ends without an answer.
struct Drop {
  RequestId request;
  Outcome outcome = Outcome::kExpired;
};

// What poll decided: batches to send now, and requests to give up.
struct Decisions {
  std::vector<Dispatch> dispatches;
  std::vector<Drop> drops;
};

// Why a batch failed. A model error is retried one request at a time, so that a bad one fails alone.
enum class Failure : std::uint8_t { kWorkerLost, kModelError };

}  // namespace mark
