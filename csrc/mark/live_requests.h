// The table of requests that have been accepted and have not ended.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "mark/request.h"
#include "mark/types.h"

namespace mark {

// An accepted request and where it is. It fills little more than a cache line.
struct LiveRequest {
  Request request;
  TimeNs arrival;
  std::uint64_t sequence = 0;  // order of arrival, between equal deadlines
  BatchId batch{};             // the batch that it is in; zero while it is queued
  std::uint32_t place = 0;     // where it lies in the queue, kept by BatchQueue
  bool lost_worker = false;    // a worker was lost with it; its one retry elsewhere is spent
  bool solo = false;           // goes alone in its batch
};

// Indexed by slot, so that finding, adding and forgetting a request take a few instructions and no allocation once the
// table has grown to the largest slot in use.
//
// Invariant: an entry is live when its id is not zero, and then the entry's slot is the id's slot.
class LiveRequests {
 public:
  // Null when the id is stale or was never live.
  LiveRequest* find(RequestId id) {
    return id.generation() != 0 && id.slot() < table_.size() && table_[id.slot()].request.id == id ? &table_[id.slot()]
                                                                                                   : nullptr;
  }
  LiveRequest& at(std::uint32_t slot) { return table_[slot]; }
  const LiveRequest& at(std::uint32_t slot) const { return table_[slot]; }

  // Throws std::invalid_argument when the id cannot name a new request: it is zero or out of range, or its slot is
  // taken.
  void check_new(RequestId id) const {
    if (id.generation() == 0 || id.slot() >= kSlots) {
      throw std::invalid_argument("request id " + std::to_string(id.value) +
                                  " is not valid: its generation is 0 or its slot is not below " +
                                  std::to_string(kSlots) + "; hand out small slots");
    }
    if (id.slot() < table_.size() && table_[id.slot()].request.id.generation() != 0) {
      throw std::invalid_argument("request id " + std::to_string(id.value) + " names slot " +
                                  std::to_string(id.slot()) + ", which a live request holds; wait until that one ends");
    }
  }

  LiveRequest& add(const Request& request, TimeNs now) {
    if (request.id.slot() >= table_.size()) {
      table_.resize(request.id.slot() + std::size_t{1});
    }
    LiveRequest& entry = table_[request.id.slot()];
    entry = LiveRequest{.request = request, .arrival = now, .sequence = sequence_++};
    return entry;
  }

  void forget(RequestId id) { table_[id.slot()].request.id = RequestId{}; }

 private:
  // The table is as long as the largest slot: a wild id must not take all memory.
  static constexpr std::uint32_t kSlots = std::uint32_t{1} << 24U;

  std::vector<LiveRequest> table_;
  std::uint64_t sequence_ = 0;
};

}  // namespace mark
