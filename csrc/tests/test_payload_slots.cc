#include <doctest/doctest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "net/payload_slots.h"

namespace mark::net {
namespace {

RequestId store(PayloadSlots& slots, std::int64_t width) {
  InferRequest request;
  request.rows = 1;
  request.inputs.push_back({{1, width}, std::string(static_cast<std::size_t>(width), '\0')});
  return slots.store(std::make_shared<const InferRequest>(std::move(request)));
}

TEST_CASE("payloads have the same shape class exactly while their trailing dimensions are equal") {
  PayloadSlots slots;
  const RequestId two = store(slots, 2);
  const RequestId three = store(slots, 3);

  CHECK(slots.shape_class(two) != slots.shape_class(three));
  CHECK(slots.shape_class(store(slots, 2)) == slots.shape_class(two));
}

TEST_CASE("shapes may come in turns, and several tensors have one together") {
  PayloadSlots slots;
  const auto store_two = [&slots](std::int64_t one, std::int64_t other) {
    InferRequest request;
    request.rows = 1;
    request.inputs.push_back({{1, one}, {}});
    request.inputs.push_back({{1, other, 2}, {}});
    return slots.store(std::make_shared<const InferRequest>(std::move(request)));
  };
  const RequestId first = store_two(3, 4);
  const RequestId swapped = store_two(4, 3);
  CHECK(slots.shape_class(first) != slots.shape_class(swapped));
  CHECK(slots.shape_class(store_two(3, 4)) == slots.shape_class(first));
  CHECK(slots.shape_class(store_two(4, 3)) == slots.shape_class(swapped));
  CHECK(slots.shape_class(store(slots, 3)) != slots.shape_class(first));  // its beginning alone
}

TEST_CASE("what is freed is handed out, with the caller that it was stored for") {
  PayloadSlots slots;
  InferRequest request;
  request.inputs.push_back({{1, 2}, {}});
  const auto payload = std::make_shared<const InferRequest>(std::move(request));
  const RequestId id = slots.store(payload, 7);

  const PayloadSlots::Freed freed = slots.free(id);
  CHECK(freed.caller == 7);
  CHECK(freed.payload == payload);
  CHECK(slots.free(id).payload == nullptr);
}

TEST_CASE("a shape class that nobody uses gives its number back, so that numbers never run out") {
  PayloadSlots slots;
  const RequestId kept = store(slots, 2);
  for (std::int64_t width = 3; width < 1000; ++width) {
    const RequestId passing = store(slots, width);
    REQUIRE(slots.shape_class(passing) != slots.shape_class(kept));
    REQUIRE(slots.shape_class(passing) < 2);
    slots.free(passing);
  }
}

TEST_CASE("an id outlives its payload and names nothing") {
  PayloadSlots slots;
  const RequestId gone = store(slots, 2);
  slots.free(gone);
  slots.free(gone);

  CHECK(slots.find(gone) == nullptr);
  CHECK(store(slots, 2) != gone);
  CHECK(slots.find(gone) == nullptr);
  CHECK(slots.stored() == 1);
}

}  // namespace
}  // namespace mark::net
