#include "mark/batch_queue.h"

#include <algorithm>
#include <array>

namespace mark {

void BatchQueue::place(Heap& heap, std::size_t at, const Node& node) {
  heap[at] = node;
  requests_.at(node.slot).place = static_cast<std::uint32_t>(at);
}

void BatchQueue::sift_up(Heap& heap, std::size_t at, const Node& node) {
  while (at > 0) {
    const std::size_t parent = (at - 1) / 2;
    if (!node.before(heap[parent])) {
      break;
    }
    place(heap, at, heap[parent]);
    at = parent;
  }
  place(heap, at, node);
}

void BatchQueue::sift_down(Heap& heap, std::size_t at, const Node& node) {
  for (std::size_t child = 2 * at + 1; child < heap.size(); child = 2 * at + 1) {
    if (child + 1 < heap.size() && heap[child + 1].before(heap[child])) {
      ++child;
    }
    if (!heap[child].before(node)) {
      break;
    }
    place(heap, at, heap[child]);
    at = child;
  }
  place(heap, at, node);
}

void BatchQueue::push(std::uint32_t slot) {
  const LiveRequest& entry = requests_.at(slot);
  Level& of = level(entry.request.priority);
  rows_ += entry.request.rows;
  of.rows += entry.request.rows;
  bytes_ += entry.request.bytes;
  ++size_;
  of.latest = of.heap.empty() ? entry.request.deadline : std::max(of.latest, entry.request.deadline);
  of.heap.emplace_back();
  sift_up(of.heap, of.heap.size() - 1, Node{entry.request.deadline, entry.sequence, slot});
}

void BatchQueue::remove(std::uint32_t slot) {
  const LiveRequest& entry = requests_.at(slot);
  Level& of = level(entry.request.priority);
  rows_ -= entry.request.rows;
  of.rows -= entry.request.rows;
  bytes_ -= entry.request.bytes;
  --size_;
  Heap& heap = of.heap;
  const std::size_t at = entry.place;
  const Node last = heap.back();
  heap.pop_back();
  if (at == heap.size()) {
    return;
  }
  // The last node fills the hole. It may belong above it when the hole was in another branch.
  if (at > 0 && last.before(heap[(at - 1) / 2])) {
    sift_up(heap, at, last);
  } else {
    sift_down(heap, at, last);
  }
}

std::int64_t BatchQueue::rows_through(int priority) const {
  std::int64_t rows = 0;
  for (int each = 1; each <= priority; ++each) {
    rows += level(each).rows;
  }
  return rows;
}

std::int64_t BatchQueue::rows_before(int priority, TimeNs deadline) const {
  const Heap& heap = level(priority).heap;
  if (heap.empty() || deadline >= level(priority).latest) {
    return rows_through(priority);
  }
  std::int64_t rows = rows_through(priority - 1);
  // Below a node of the heap that is due later lies nothing that is due sooner.
  std::array<std::size_t, kCounted + 2> open{};
  std::size_t opened = 0;
  int counted = 0;
  open[opened++] = 0;
  while (opened > 0) {
    const std::size_t at = open[--opened];
    if (heap[at].deadline > deadline) {
      continue;
    }
    if (++counted > kCounted) {
      return rows_through(priority);
    }
    rows += requests_.at(heap[at].slot).request.rows;
    for (const std::size_t child : {2 * at + 1, 2 * at + 2}) {
      if (child < heap.size()) {
        open[opened++] = child;
      }
    }
  }
  return rows;
}

// Puts the children of the heap's node `at` on the frontier.
void BatchQueue::expand(const Heap& heap, std::size_t at) {
  const auto later = [&heap](std::size_t a, std::size_t b) { return heap[b].before(heap[a]); };
  for (const std::size_t child : {2 * at + 1, 2 * at + 2}) {
    if (child < heap.size()) {
      frontier_.push_back(child);
      std::push_heap(frontier_.begin(), frontier_.end(), later);
    }
  }
}

// Takes the smallest node off the frontier and puts its children there: in the heap, the next in order is always a
// child of one already taken. Null at the end.
const BatchQueue::Node* BatchQueue::next_in_order(const Heap& heap) {
  if (frontier_.empty()) {
    return nullptr;
  }
  std::pop_heap(frontier_.begin(), frontier_.end(),
                [&heap](std::size_t a, std::size_t b) { return heap[b].before(heap[a]); });
  const std::size_t at = frontier_.back();
  frontier_.pop_back();
  expand(heap, at);
  return &heap[at];
}

void BatchQueue::read_front(const FrontFilter& filter, BatchFront& front) {
  front.requests.clear();
  front.rows_through.clear();
  front.deadline_through.clear();
  front.solo = false;
  for (const Level& each : levels_) {
    if (!each.heap.empty() && !read_level(each.heap, filter, front)) {
      break;
    }
  }
  front.whole = front.requests.size() == size_;
}

// Adds what a priority has to the front; false when nothing more may join it.
bool BatchQueue::read_level(const Heap& heap, const FrontFilter& filter, BatchFront& front) {
  frontier_.assign(1, 0);
  int rows = front.requests.empty() ? 0 : front.rows(front.size());
  while (const Node* node = next_in_order(heap)) {
    const LiveRequest& next = requests_.at(node->slot);
    const bool first = front.requests.empty();
    if (next.request.rows > filter.request_rows_max || (filter.accepts && !filter.accepts(next.request))) {
      if (first) continue;
      return false;
    }
    if (first) {
      front.arrival = next.arrival;
      front.deadline = next.request.deadline;
      front.priority = next.request.priority;
      front.solo = next.solo;
      front.shape = next.request.shape;
    } else if (next.solo || next.request.shape != front.shape || next.request.rows > filter.batch_rows_max - rows) {
      return false;
    }
    rows += next.request.rows;
    front.arrival = std::min(front.arrival, next.arrival);
    front.requests.push_back(next.request.id);
    front.rows_through.push_back(rows);
    if (levels_.size() > 1) {
      const TimeNs earliest = first ? next.request.deadline : front.deadline_through.back();
      front.deadline_through.push_back(std::min(earliest, next.request.deadline));
    }
    if (front.solo) {
      return false;
    }
  }
  return true;
}

}  // namespace mark
