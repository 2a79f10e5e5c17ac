#include "net/payload_slots.h"

#include <utility>

namespace mark::net {

PayloadSlots::TrailingDimensions PayloadSlots::trailing_dimensions(const InferRequest& request) {
  TrailingDimensions dimensions;
  for (const Tensor& tensor : request.inputs) {
    // The number of dimensions is the signature's, so that equal concatenations are equal shapes.
    dimensions.insert(dimensions.end(), tensor.shape.begin() + 1, tensor.shape.end());
  }
  return dimensions;
}

RequestId PayloadSlots::store(Payload payload, std::uint64_t caller, std::shared_ptr<RequestTrace> trace) {
  if (free_.empty()) {
    free_.push_back(static_cast<std::uint32_t>(slots_.size()));
    slots_.emplace_back();
  }
  const std::uint32_t index = free_.back();
  free_.pop_back();
  auto [shape, is_new] = classes_.try_emplace(trailing_dimensions(*payload));
  if (is_new) shape->second.number = new_class_number();
  ++shape->second.payloads;
  Slot& slot = slots_[index];
  slot.shape = shape->second.number;
  slot.caller = caller;
  slot.payload = std::move(payload);
  slot.trace = std::move(trace);
  return RequestId::of(index, slot.generation);
}

std::uint32_t PayloadSlots::new_class_number() {
  // When none was given back, the classes before this one have all numbers below.
  if (free_numbers_.empty()) return static_cast<std::uint32_t>(classes_.size() - 1);
  const std::uint32_t number = free_numbers_.back();
  free_numbers_.pop_back();
  return number;
}

Payload PayloadSlots::find(RequestId id) const {
  if (id.slot() >= slots_.size() || slots_[id.slot()].generation != id.generation()) return nullptr;
  return slots_[id.slot()].payload;
}

std::uint64_t PayloadSlots::free(RequestId id) {
  const Payload payload = find(id);
  if (!payload) return 0;
  const auto shape = classes_.find(trailing_dimensions(*payload));
  if (--shape->second.payloads == 0) {
    free_numbers_.push_back(shape->second.number);
    classes_.erase(shape);
  }
  Slot& slot = slots_[id.slot()];
  slot.payload = nullptr;
  slot.trace = nullptr;
  if (++slot.generation == 0) slot.generation = 1;
  free_.push_back(id.slot());
  return slot.caller;
}

}  // namespace mark::net
