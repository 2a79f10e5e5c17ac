// Queued requests: by priority, and within one priority earliest deadline first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "mark/live_requests.h"
#include "mark/types.h"

namespace mark {

// Which requests a front is made of.
struct FrontFilter {
  int batch_rows_max = 1;                                 // rows of all together, unless the head alone has more
  int request_rows_max = 1;                               // requests with more rows are passed over
  std::function<bool(const Request&)> accepts = nullptr;  // and so are those that it refuses, where there is one
};

// Requests, in the queue's order, that may share a batch: the first that passes the filter, its head, and those behind
// it.
struct BatchFront {
  TimeNs arrival;    // the earliest of all
  TimeNs deadline;   // of the head
  int priority = 1;  // of the head
  std::vector<RequestId> requests;
  std::vector<int> rows_through;         // rows of the first i + 1 requests
  std::vector<TimeNs> deadline_through;  // the earliest of theirs, where the queue has several priorities; else empty
  std::uint32_t shape = 0;               // of all
  bool solo = false;                     // nothing may join the head
  bool whole = false;                    // the queue holds nothing else

  int size() const { return static_cast<int>(requests.size()); }
  int rows(int count) const { return rows_through[static_cast<std::size_t>(count) - 1]; }
  TimeNs deadline_of(int count) const {
    return deadline_through.empty() ? deadline : deadline_through[static_cast<std::size_t>(count) - 1];
  }
};

// For each priority a binary heap ordered by deadline and then by arrival, with one bound over all. The requests lie in
// the table beside it and know their place in their heap, so that one that is cancelled leaves in O(log n). Allocates
// only while it grows.
//
// Invariants
//   - the heap of its priority names, at requests_.at(slot).place, that slot, for every queued slot;
//   - rows_ and bytes_ are the sums over the queued requests, and so is rows of each level over those of its priority.
class BatchQueue {
 public:
  // The table must outlive the queue.
  BatchQueue(LiveRequests& requests, int requests_max, std::int64_t bytes_max, int priorities = 1)
      : requests_(requests),
        requests_max_(static_cast<std::size_t>(requests_max)),
        bytes_max_(bytes_max),
        levels_(static_cast<std::size_t>(priorities)) {}

  bool has_room_for(std::int64_t bytes) const { return size_ < requests_max_ && bytes <= bytes_max_ - bytes_; }
  // Other bounds from now on; what is queued beyond them stays.
  void bound(int requests_max, std::int64_t bytes_max) {
    requests_max_ = static_cast<std::size_t>(requests_max);
    bytes_max_ = bytes_max;
  }
  // Does not look at the bounds: a retry is queued in any case.
  void push(std::uint32_t slot);
  void remove(std::uint32_t slot);

  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }
  std::int64_t rows() const { return rows_; }
  std::int64_t bytes() const { return bytes_; }
  // Of those with this priority or a higher one.
  std::int64_t rows_through(int priority) const;
  // Of those that would go before a newcomer. Exact, and at once, for one that is due no sooner than all others of its
  // priority, as most are; else counted exactly while they are few: a newcomer that more than kCounted requests of its
  // own priority precede is taken to come after all of these.
  std::int64_t rows_before(int priority, TimeNs deadline) const;

  int priorities() const { return static_cast<int>(levels_.size()); }
  // The earliest deadline of a priority; null when none of it is queued.
  const LiveRequest* head(int priority) const {
    const Heap& heap = level(priority).heap;
    return heap.empty() ? nullptr : &requests_.at(heap.front().slot);
  }

  // Whether a request of a lower priority is due sooner than one of this priority with that deadline.
  bool holds_sooner(int priority, TimeNs deadline) const {
    for (int lower = priority + 1; lower <= priorities(); ++lower) {
      const Heap& heap = level(lower).heap;
      if (!heap.empty() && heap.front().deadline < deadline) {
        return true;
      }
    }
    return false;
  }

  // Fills `front` with the first request that passes the filter and, while they share its shape and none of them is
  // solo, as many of the next as make up to batch_rows_max rows; the front is empty when none passes. O(k log k) for k
  // requests looked at; the queue stays as it is.
  void read_front(const FrontFilter& filter, BatchFront& front);

 private:
  struct Node {
    TimeNs deadline;
    std::uint64_t sequence = 0;
    std::uint32_t slot = 0;

    bool before(const Node& other) const {
      return deadline != other.deadline ? deadline < other.deadline : sequence < other.sequence;
    }
  };

  using Heap = std::vector<Node>;
  struct Level {
    Heap heap;
    std::int64_t rows = 0;
    TimeNs latest = TimeNs::min();  // no deadline in the heap is later; may be that of one that has left
  };

  static constexpr int kCounted = 64;

  Level& level(int priority) { return levels_[static_cast<std::size_t>(priority) - 1]; }
  const Level& level(int priority) const { return levels_[static_cast<std::size_t>(priority) - 1]; }
  void place(Heap& heap, std::size_t at, const Node& node);
  void sift_up(Heap& heap, std::size_t at, const Node& node);
  void sift_down(Heap& heap, std::size_t at, const Node& node);
  void expand(const Heap& heap, std::size_t at);
  const Node* next_in_order(const Heap& heap);
  bool read_level(const Heap& heap, const FrontFilter& filter, BatchFront& front);

  LiveRequests& requests_;
  std::size_t requests_max_;
  std::int64_t bytes_max_;
  std::int64_t rows_ = 0;
  std::int64_t bytes_ = 0;
  std::size_t size_ = 0;
  std::vector<Level> levels_;
  std::vector<std::size_t> frontier_;  // of read_front; kept so that it need not allocate
};

}  // namespace mark
