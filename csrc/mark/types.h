// The vocabulary of the policy core: ids and times that cannot be mistaken for one another.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>

namespace mark {

// The line on which every instant of the core lies. It has no now(): only drivers own a clock.
struct Timeline {
  using rep = std::int64_t;
  using period = std::nano;
  using duration = std::chrono::nanoseconds;
  using time_point = std::chrono::time_point<Timeline>;
  static constexpr bool is_steady = true;
};

using DurationNs = std::chrono::nanoseconds;
using TimeNs = std::chrono::time_point<Timeline, DurationNs>;

// A slot of a table in the low 32 bits and the slot's generation in the high 32, so that an id that
// outlived its owner is recognised as stale instead of naming the slot's next owner.
// Invariants: generation is never 0, so a zero id names nothing.
template <class Tag>
struct SlotId {
  std::uint64_t value = 0;

  static constexpr SlotId of(std::uint32_t slot, std::uint32_t generation) {
    return SlotId{(static_cast<std::uint64_t>(generation) << 32U) | slot};
  }
  constexpr std::uint32_t slot() const { return static_cast<std::uint32_t>(value); }
  constexpr std::uint32_t generation() const { return static_cast<std::uint32_t>(value >> 32U); }
  constexpr auto operator<=>(const SlotId&) const = default;
};

using RequestId = SlotId<struct RequestTag>;
using BatchId = SlotId<struct BatchTag>;

enum class WorkerId : std::uint32_t {};

}  // namespace mark

template <class Tag>
struct std::hash<mark::SlotId<Tag>> {
  std::size_t operator()(const mark::SlotId<Tag>& id) const noexcept { return std::hash<std::uint64_t>{}(id.value); }
};
