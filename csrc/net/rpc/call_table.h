// Ids of calls that outlive the calls: an answer that comes too late finds nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace mark::net {

// Thread safety: none; belongs to one event loop.
//
// Invariants
//   - an id finds what it was given for until it is removed, and nothing ever after;
//   - a slot is used again, so that the table is as large as the most calls that ever were at once.
template <class Id, class Call>
class CallTable {
 public:
  Id add(Call& call) {
    if (free_.empty()) {
      free_.push_back(static_cast<std::uint32_t>(slots_.size()));
      slots_.emplace_back();
    }
    const std::uint32_t slot = free_.back();
    free_.pop_back();
    slots_[slot].call = &call;
    ++size_;
    return Id::of(slot, slots_[slot].generation);
  }

  Call* find(Id id) const {
    if (id.slot() >= slots_.size()) return nullptr;
    const Slot& slot = slots_[id.slot()];
    return slot.generation == id.generation() ? slot.call : nullptr;
  }

  void remove(Id id) {
    if (find(id) == nullptr) return;
    Slot& slot = slots_[id.slot()];
    slot.call = nullptr;
    if (++slot.generation == 0) slot.generation = 1;
    free_.push_back(id.slot());
    --size_;
  }

  std::size_t size() const { return size_; }

  // `visit` may remove the call that it is given, and add others.
  template <class Visit>
  void for_each(Visit visit) {
    for (std::size_t slot = 0; slot < slots_.size(); ++slot) {
      if (slots_[slot].call != nullptr) visit(*slots_[slot].call);
    }
  }

 private:
  struct Slot {
    Call* call = nullptr;
    std::uint32_t generation = 1;
  };
  std::vector<Slot> slots_;
  std::vector<std::uint32_t> free_;
  std::size_t size_ = 0;
};

}  // namespace mark::net
