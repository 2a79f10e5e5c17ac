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
