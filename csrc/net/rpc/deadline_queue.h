// Deadlines of very many calls, of which nearly all end long before.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "mark/types.h"

namespace mark::net {

// Thread safety: none.
//
// Invariants
//   - no more than twice as many entries are kept as there are live ones, and a few: what has ended is swept out when
//     it is the greater part, so that no deadline has to be searched for.
template <class Id>
class DeadlineQueue {
 public:
  void add(TimeNs deadline, Id id) {
    entries_.emplace_back(deadline, id);
    std::push_heap(entries_.begin(), entries_.end(), later);
  }

  bool empty() const { return entries_.empty(); }
  TimeNs earliest() const { return entries_.front().first; }
  Id earliest_id() const { return entries_.front().second; }

  Id take_earliest() {
    std::pop_heap(entries_.begin(), entries_.end(), later);
    const Id id = entries_.back().second;
    entries_.pop_back();
    return id;
  }

  template <class IsLive>
  void sweep(std::size_t live, IsLive is_live) {
    constexpr std::size_t kFew = 64;
    if (entries_.size() <= 2 * live + kFew) return;
    std::erase_if(entries_, [&is_live](const Entry& entry) { return !is_live(entry.second); });
    std::make_heap(entries_.begin(), entries_.end(), later);
  }

  std::size_t size() const { return entries_.size(); }

 private:
  using Entry = std::pair<TimeNs, Id>;
  static bool later(const Entry& one, const Entry& other) { return one.first > other.first; }

  std::vector<Entry> entries_;  // a heap
};

}  // namespace mark::net
