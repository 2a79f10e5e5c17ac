// Where payloads lie while the dispatcher handles their ids.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "mark/types.h"
#include "net/batch_message.h"
#include "net/tracer.h"

namespace mark::net {

// A slab of payloads; a slot is reused last in, first out, each time under a new generation.
// Thread safety: none; the endpoint holds its mutex around every call.
//
// Invariants
//   - an id names the payload that it was returned for, or nothing;
//   - two payloads have the same shape class exactly while their trailing dimensions are equal; a class is forgotten
//     with its last payload, so that the table of classes is never larger than that of payloads, and its number is
//     used again, so that numbers never run out.
class PayloadSlots {
 public:
  // `caller`: by which the driver knows the request; free() gives it back. `trace`: of one that is sampled.
  RequestId store(Payload payload, std::uint64_t caller = 0, std::shared_ptr<RequestTrace> trace = nullptr);
  // Null when the id is stale.
  Payload find(RequestId id) const;
  std::uint32_t shape_class(RequestId id) const { return slots_[id.slot()].shape->second.number; }
  const std::shared_ptr<RequestTrace>& trace_of(RequestId id) const { return slots_[id.slot()].trace; }
  struct Freed {
    std::uint64_t caller = 0;
    Payload payload;
  };
  // Frees the slot and returns what was in it; nothing for a stale id.
  Freed free(RequestId id);
  std::size_t stored() const { return slots_.size() - free_.size(); }

 private:
  using TrailingDimensions = std::vector<std::int64_t>;
  struct ShapeClass {
    std::uint32_t number = 0;
    std::uint32_t payloads = 0;
  };
  using Classes = std::map<TrailingDimensions, ShapeClass>;
  struct Slot {
    std::uint32_t generation = 1;
    Classes::iterator shape;
    std::uint64_t caller = 0;
    Payload payload;  // null: free
    std::shared_ptr<RequestTrace> trace;
  };

  Classes::iterator class_of(const InferRequest& request);
  std::uint32_t new_class_number();  // of the class that was added to classes_ just now

  std::vector<Slot> slots_;
  std::vector<std::uint32_t> free_;
  Classes classes_;
  Classes::iterator latest_ = classes_.end();  // of the payload that was stored last, as the next one is like it
  std::vector<std::uint32_t> free_numbers_;
};

}  // namespace mark::net
