// The table of batches that workers have and have not answered.
#pragma once

#include <cstdint>
#include <vector>

#include "mark/request.h"
#include "mark/types.h"

namespace mark {

struct BatchInFlight {
  BatchId id;  // zero while the slot is free
  WorkerId worker{};
  DurationNs service{};    // predicted, for its rows alone
  DurationNs measured{};   // as its profile says, uncorrected
  DurationNs predicted{};  // from its launch to its answer, with what the worker was busy with; zero for a probe
  TimeNs launched;
  std::vector<RequestId> requests;
};

// Slots are used again with a new generation, and so is the memory of their requests: no allocation in steady state.
class BatchesInFlight {
 public:
  BatchInFlight& open(WorkerId worker, DurationNs service) {
    if (free_.empty()) {
      free_.push_back(static_cast<std::uint32_t>(slots_.size()));
      slots_.emplace_back();
    }
    const std::uint32_t slot = free_.back();
    free_.pop_back();
    Slot& opened = slots_[slot];
    if (++opened.generation == 0) {
      opened.generation = 1;  // 0 names nothing
    }
    opened.batch.id = BatchId::of(slot, opened.generation);
    opened.batch.worker = worker;
    opened.batch.service = service;
    opened.batch.predicted = {};
    opened.batch.requests.clear();
    return opened.batch;
  }

  // Null when the id is stale.
  const BatchInFlight* find(BatchId id) const {
    return id.generation() != 0 && id.slot() < slots_.size() && slots_[id.slot()].batch.id == id
               ? &slots_[id.slot()].batch
               : nullptr;
  }

  void close(BatchId id) {
    slots_[id.slot()].batch.id = BatchId{};
    free_.push_back(id.slot());
  }

  std::vector<BatchId> of_worker(WorkerId worker) const {
    std::vector<BatchId> ids;
    for (const Slot& slot : slots_) {
      if (slot.batch.id.generation() != 0 && slot.batch.worker == worker) {
        ids.push_back(slot.batch.id);
      }
    }
    return ids;
  }

 private:
  struct Slot {
    BatchInFlight batch;
    std::uint32_t generation = 0;
  };

  std::vector<Slot> slots_;
  std::vector<std::uint32_t> free_;
};

}  // namespace mark
