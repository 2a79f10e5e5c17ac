// Queued requests, earliest deadline first.
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

// Requests, in deadline order, that may share a batch: the first that passes the filter, its head, and those behind it.
struct BatchFront {
  TimeNs arrival;   // the earliest of all
  TimeNs deadline;  // of the head: the earliest of all
  std::vector<RequestId> requests;
  std::vector<int> rows_through;  // rows of the first i + 1 requests
  bool solo = false;              // nothing may join the head
  bool whole = false;             // the queue holds nothing else

  int size() const { return static_cast<int>(requests.size()); }
  int rows(int count) const { return rows_through[static_cast<std::size_t>(count) - 1]; }
};

// A bounded binary heap ordered by deadline and then by arrival. The requests lie in the table beside it and know their
// place in the heap, so that one that is cancelled leaves in O(log n). Allocates only while it grows.
//
// Invariants
//   - heap_[requests_.at(slot).place] names that slot, for every queued slot;
//   - rows_ and bytes_ are the sums over the queued requests.
class BatchQueue {
 public:
  // The table must outlive the queue.
  BatchQueue(LiveRequests& requests, int requests_max, std::int64_t bytes_max)
      : requests_(requests), requests_max_(static_cast<std::size_t>(requests_max)), bytes_max_(bytes_max) {}

  bool has_room_for(std::int64_t bytes) const { return heap_.size() < requests_max_ && bytes <= bytes_max_ - bytes_; }
  // Does not look at the bounds: a retry is queued in any case.
  void push(std::uint32_t slot);
  void remove(std::uint32_t slot);

  bool empty() const { return heap_.empty(); }
  std::size_t size() const { return heap_.size(); }
  std::int64_t rows() const { return rows_; }
  std::int64_t bytes() const { return bytes_; }
  const LiveRequest& head() const { return requests_.at(heap_.front().slot); }

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

  void place(std::size_t at, const Node& node);
  void sift_up(std::size_t at, const Node& node);
  void sift_down(std::size_t at, const Node& node);
  void expand(std::size_t at);
  const Node* next_in_order();

  LiveRequests& requests_;
  std::size_t requests_max_;
  std::int64_t bytes_max_;
  std::int64_t rows_ = 0;
  std::int64_t bytes_ = 0;
  std::vector<Node> heap_;
  std::vector<std::size_t> frontier_;  // of read_front; kept so that it need not allocate
};

}  // namespace mark
