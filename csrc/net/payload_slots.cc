#include "net/payload_slots.h"

#include <algorithm>
#include <utility>

namespace mark::net {

namespace {

// The number of dimensions is the signature's, so that equal concatenations are equal shapes.
std::vector<std::int64_t> trailing_dimensions(const InferRequest& request) {
  std::vector<std::int64_t> dimensions;
  for (const Tensor& tensor : request.inputs) {
    dimensions.insert(dimensions.end(), tensor.shape.begin() + 1, tensor.shape.end());
  }
  return dimensions;
}

bool are_trailing(const std::vector<std::int64_t>& dimensions, const InferRequest& request) {
  auto next = dimensions.begin();
  for (const Tensor& tensor : request.inputs) {
    if (dimensions.end() - next < static_cast<std::ptrdiff_t>(tensor.shape.size()) - 1) return false;
    if (!std::equal(tensor.shape.begin() + 1, tensor.shape.end(), next)) return false;
    next += static_cast<std::ptrdiff_t>(tensor.shape.size()) - 1;
  }
  return next == dimensions.end();
}

}  // namespace

PayloadSlots::Classes::iterator PayloadSlots::class_of(const InferRequest& request) {
  if (latest_ != classes_.end() && are_trailing(latest_->first, request)) return latest_;
  const auto [shape, is_new] = classes_.try_emplace(trailing_dimensions(request));
  if (is_new) shape->second.number = new_class_number();
  return latest_ = shape;
}

RequestId PayloadSlots::store(Payload payload, std::uint64_t caller, std::shared_ptr<RequestTrace> trace) {
  if (free_.empty()) {
    free_.push_back(static_cast<std::uint32_t>(slots_.size()));
    slots_.emplace_back();
  }
  const std::uint32_t index = free_.back();
  free_.pop_back();
  Slot& slot = slots_[index];
  slot.shape = class_of(*payload);
  ++slot.shape->second.payloads;
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

PayloadSlots::Freed PayloadSlots::free(RequestId id) {
  if (!find(id)) return {};
  Slot& slot = slots_[id.slot()];
  slot.trace = nullptr;
  if (--slot.shape->second.payloads == 0) {
    free_numbers_.push_back(slot.shape->second.number);
    if (latest_ == slot.shape) latest_ = classes_.end();
    classes_.erase(slot.shape);
  }
  Freed freed{.caller = slot.caller, .payload = std::move(slot.payload)};
  if (++slot.generation == 0) slot.generation = 1;
  free_.push_back(id.slot());
  return freed;
}

}  // namespace mark::net
