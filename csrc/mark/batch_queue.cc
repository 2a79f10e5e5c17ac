#include "mark/batch_queue.h"

#include <algorithm>

namespace mark {

void BatchQueue::place(std::size_t at, const Node& node) {
  heap_[at] = node;
  requests_.at(node.slot).place = static_cast<std::uint32_t>(at);
}

void BatchQueue::sift_up(std::size_t at, const Node& node) {
  while (at > 0) {
    const std::size_t parent = (at - 1) / 2;
    if (!node.before(heap_[parent])) {
      break;
    }
    place(at, heap_[parent]);
    at = parent;
  }
  place(at, node);
}

void BatchQueue::sift_down(std::size_t at, const Node& node) {
  for (std::size_t child = 2 * at + 1; child < heap_.size(); child = 2 * at + 1) {
    if (child + 1 < heap_.size() && heap_[child + 1].before(heap_[child])) {
      ++child;
    }
    if (!heap_[child].before(node)) {
      break;
    }
    place(at, heap_[child]);
    at = child;
  }
  place(at, node);
}

void BatchQueue::push(std::uint32_t slot) {
  const LiveRequest& entry = requests_.at(slot);
  rows_ += entry.request.rows;
  bytes_ += entry.request.bytes;
  heap_.emplace_back();
  sift_up(heap_.size() - 1, Node{entry.request.deadline, entry.sequence, slot});
}

void BatchQueue::remove(std::uint32_t slot) {
  const LiveRequest& entry = requests_.at(slot);
  rows_ -= entry.request.rows;
  bytes_ -= entry.request.bytes;
  const std::size_t at = entry.place;
  const Node last = heap_.back();
  heap_.pop_back();
  if (at == heap_.size()) {
    return;
  }
  // The last node fills the hole. It may belong above it when the hole was in another branch.
  if (at > 0 && last.before(heap_[(at - 1) / 2])) {
    sift_up(at, last);
  } else {
    sift_down(at, last);
  }
}

// Puts the children of the heap's node `at` on the frontier.
void BatchQueue::expand(std::size_t at) {
  const auto later = [this](std::size_t a, std::size_t b) { return heap_[b].before(heap_[a]); };
  for (const std::size_t child : {2 * at + 1, 2 * at + 2}) {
    if (child < heap_.size()) {
      frontier_.push_back(child);
      std::push_heap(frontier_.begin(), frontier_.end(), later);
    }
  }
}

// Takes the smallest node off the frontier and puts its children there: in the heap, the next in order is always a
// child of one already taken. Null at the end.
const BatchQueue::Node* BatchQueue::next_in_order() {
  if (frontier_.empty()) {
    return nullptr;
  }
  std::pop_heap(frontier_.begin(), frontier_.end(),
                [this](std::size_t a, std::size_t b) { return heap_[b].before(heap_[a]); });
  const std::size_t at = frontier_.back();
  frontier_.pop_back();
  expand(at);
  return &heap_[at];
}

void BatchQueue::read_front(const FrontFilter& filter, BatchFront& front) {
  front.requests.clear();
  front.rows_through.clear();
  frontier_.clear();
  if (!heap_.empty()) {
    frontier_.push_back(0);
  }
  int rows = 0;
  std::uint32_t shape = 0;
  while (const Node* node = next_in_order()) {
    const LiveRequest& next = requests_.at(node->slot);
    const bool first = front.requests.empty();
    if (next.request.rows > filter.request_rows_max || (filter.accepts && !filter.accepts(next.request))) {
      if (first) continue;
      break;
    }
    if (first) {
      front.arrival = next.arrival;
      front.deadline = next.request.deadline;
      front.solo = next.solo;
      shape = next.request.shape;
    } else if (next.solo || next.request.shape != shape || next.request.rows > filter.batch_rows_max - rows) {
      break;
    }
    rows += next.request.rows;
    front.arrival = std::min(front.arrival, next.arrival);
    front.requests.push_back(next.request.id);
    front.rows_through.push_back(rows);
    if (front.solo) {
      break;
    }
  }
  front.whole = front.requests.size() == heap_.size();
}

}  // namespace mark
