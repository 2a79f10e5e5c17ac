#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <random>
#include <vector>

#include "mark/batch_queue.h"

namespace mark {
namespace {

using namespace std::chrono_literals;

constexpr TimeNs kStart{};

struct QueueFixture {
  LiveRequests requests;
  BatchQueue queue{requests, 4, 1000};
  BatchFront front;

  LiveRequest& push(std::uint32_t slot, DurationNs deadline, int rows = 1, std::uint32_t shape = 0) {
    const Request request{
        .id = RequestId::of(slot, 1), .rows = rows, .bytes = 100, .deadline = kStart + deadline, .shape = shape};
    LiveRequest& entry = requests.add(request, kStart);
    queue.push(slot);
    return entry;
  }

  std::vector<std::uint32_t> front_slots(int rows_max) {
    return front_slots({.batch_rows_max = rows_max, .request_rows_max = 1000});
  }

  std::vector<std::uint32_t> front_slots(const FrontFilter& filter) {
    queue.read_front(filter, front);
    std::vector<std::uint32_t> slots;
    slots.reserve(front.requests.size());
    for (const RequestId id : front.requests) {
      slots.push_back(id.slot());
    }
    return slots;
  }
};

std::function<bool(const Request&)> due_from(DurationNs since_start) {
  return [=](const Request& request) { return request.deadline >= kStart + since_start; };
}

using Slots = std::vector<std::uint32_t>;

TEST_CASE_FIXTURE(QueueFixture, "the front is in deadline order and ties go to the earlier arrival") {
  push(0, 30ms);
  push(1, 10ms);
  push(2, 20ms);
  push(3, 10ms);
  CHECK(front_slots(8) == Slots{1, 3, 2, 0});
  CHECK(front.whole);
  CHECK(front.deadline == kStart + 10ms);
  CHECK(front.rows_through == std::vector<int>{1, 2, 3, 4});
}

TEST_CASE_FIXTURE(QueueFixture, "the front ends where the rows do") {
  push(0, 10ms, 3);
  push(1, 20ms, 3);
  push(2, 30ms, 1);
  CHECK(front_slots(5) == Slots{0});
  CHECK(front_slots(6) == Slots{0, 1});
  CHECK_FALSE(front.whole);
}

TEST_CASE_FIXTURE(QueueFixture, "the front holds its head even if that has too many rows") {
  push(0, 10ms, 9);
  push(1, 20ms);
  CHECK(front_slots(4) == Slots{0});
}

TEST_CASE_FIXTURE(QueueFixture, "requests that no free worker takes, or none in time, are passed over") {
  push(0, 10ms, 9);
  push(1, 20ms);
  push(2, 30ms);
  push(3, 40ms, 9);
  CHECK(front_slots({.batch_rows_max = 8, .request_rows_max = 4}) == Slots{1, 2});
  CHECK(front.deadline == kStart + 20ms);
  CHECK_FALSE(front.whole);
  CHECK(front_slots({.batch_rows_max = 8, .request_rows_max = 4, .accepts = due_from(21ms)}) == Slots{2});
  CHECK(front_slots({.batch_rows_max = 8, .request_rows_max = 4, .accepts = due_from(31ms)}).empty());
  CHECK(queue.size() == 4);
}

TEST_CASE_FIXTURE(QueueFixture, "a front is as old as its oldest request") {
  push(0, 20ms);
  requests.at(0).arrival = kStart - 5ms;
  push(1, 10ms);
  CHECK(front_slots(8) == Slots{1, 0});
  CHECK(front.arrival == kStart - 5ms);
}

TEST_CASE_FIXTURE(QueueFixture, "the front ends at another shape and at a solo request") {
  push(0, 10ms);
  push(1, 20ms, 1, 7);
  push(2, 30ms);
  CHECK(front_slots(8) == Slots{0});
  queue.remove(1);
  CHECK(front_slots(8) == Slots{0, 2});
  requests.at(2).solo = true;
  CHECK(front_slots(8) == Slots{0});
  requests.at(2).solo = false;
  requests.at(0).solo = true;
  CHECK(front_slots(8) == Slots{0});
  CHECK(front.solo);
}

TEST_CASE_FIXTURE(QueueFixture, "the bounds count requests and bytes, and a removal gives both back") {
  push(0, 10ms);
  push(1, 10ms);
  push(2, 10ms);
  CHECK(queue.has_room_for(700));
  CHECK_FALSE(queue.has_room_for(701));
  push(3, 10ms);
  CHECK_FALSE(queue.has_room_for(0));
  queue.remove(1);
  CHECK(queue.has_room_for(700));
  CHECK(queue.bytes() == 300);
  CHECK(queue.rows() == 3);
}

TEST_CASE_FIXTURE(QueueFixture, "random pushes and removals leave the order of a sorted list") {
  std::mt19937 random(7);  // NOLINT(bugprone-random-generator-seed): the same on every run
  std::vector<std::pair<DurationNs, std::uint32_t>> expected;
  for (std::uint32_t slot = 0; slot < 500; ++slot) {
    const DurationNs deadline{static_cast<std::int64_t>(random() % 100)};
    push(slot, deadline);
    expected.emplace_back(deadline, slot);
    if (slot % 3 == 2) {
      const auto at = expected.begin() + static_cast<std::ptrdiff_t>(random() % expected.size());
      queue.remove(at->second);
      expected.erase(at);
    }
  }
  std::sort(expected.begin(), expected.end());
  Slots slots;
  std::transform(expected.begin(), expected.end(), std::back_inserter(slots), [](const auto& e) { return e.second; });
  CHECK(front_slots(1000) == slots);
  for (const std::uint32_t slot : slots) {
    CHECK(queue.head(1)->request.id.slot() == slot);
    queue.remove(slot);
  }
  CHECK(queue.empty());
}

TEST_CASE("a stale id finds no request") {
  LiveRequests requests;
  const RequestId first = RequestId::of(3, 1);
  requests.add({.id = first, .deadline = kStart}, kStart);
  CHECK(requests.find(first) != nullptr);
  CHECK(requests.find(RequestId::of(3, 2)) == nullptr);
  CHECK(requests.find(RequestId::of(4, 1)) == nullptr);
  requests.forget(first);
  CHECK(requests.find(first) == nullptr);
  CHECK(requests.find(RequestId{}) == nullptr);
}

struct PrioritiesFixture {
  LiveRequests requests;
  BatchQueue queue{requests, 1000, 100'000, 3};
  BatchFront front;

  void push(std::uint32_t slot, int priority, DurationNs deadline, int rows = 1) {
    const Request request{.id = RequestId::of(slot, 1),
                          .rows = rows,
                          .bytes = 10,
                          .deadline = kStart + deadline,
                          .shape = 0,
                          .priority = priority};
    requests.add(request, kStart);
    queue.push(slot);
  }

  Slots read(int rows_max) {
    queue.read_front({.batch_rows_max = rows_max, .request_rows_max = 1000}, front);
    Slots slots;
    slots.reserve(front.requests.size());
    for (const RequestId id : front.requests) slots.push_back(id.slot());
    return slots;
  }
};

TEST_CASE_FIXTURE(PrioritiesFixture,
                  "a higher priority goes first whatever the deadlines, and lower ones fill the batch") {
  push(0, 3, 10ms);
  push(1, 1, 90ms);
  push(2, 2, 50ms);
  push(3, 1, 80ms);
  CHECK(read(8) == Slots{3, 1, 2, 0});
  CHECK(front.whole);
  CHECK(front.priority == 1);
  CHECK(front.deadline == kStart + 80ms);
  CHECK(front.deadline_of(2) == kStart + 80ms);
  CHECK(front.deadline_of(3) == kStart + 50ms);
  CHECK(front.deadline_of(4) == kStart + 10ms);
  CHECK(read(3) == Slots{3, 1, 2});
  CHECK_FALSE(front.whole);
}

TEST_CASE_FIXTURE(PrioritiesFixture, "every priority has a head, and cancelled ones leave their own level") {
  push(0, 2, 10ms, 4);
  push(1, 2, 20ms, 2);
  push(2, 3, 5ms);
  CHECK(queue.head(1) == nullptr);
  CHECK(queue.head(2)->request.id.slot() == 0);
  CHECK(queue.head(3)->request.id.slot() == 2);
  CHECK(queue.rows_through(2) == 6);
  queue.remove(0);
  CHECK(queue.head(2)->request.id.slot() == 1);
  CHECK(queue.rows_through(1) == 0);
  CHECK(queue.rows_through(2) == 2);
  CHECK(queue.rows() == 3);
  CHECK(queue.size() == 2);
}

TEST_CASE_FIXTURE(PrioritiesFixture,
                  "a newcomer comes behind those of its priority that are due sooner, and behind higher ones") {
  for (std::uint32_t slot = 0; slot < 20; ++slot) {
    push(slot, 2, (slot + 1) * 1ms, 2);
  }
  push(20, 1, 500ms, 7);
  push(21, 3, 1ms, 9);
  CHECK(queue.rows_before(1, kStart + 1ms) == 0);
  CHECK(queue.rows_before(1, kStart + 600ms) == 7);
  CHECK(queue.rows_before(2, kStart) == 7);
  CHECK(queue.rows_before(2, kStart + 5ms) == 7 + 10);
  CHECK(queue.rows_before(2, kStart + 100ms) == 7 + 40);
  CHECK(queue.rows_before(3, kStart) == 7 + 40);
}

TEST_CASE_FIXTURE(PrioritiesFixture, "whatever came and left, what precedes a newcomer is what is due no later") {
  std::mt19937 random(11);  // NOLINT(bugprone-random-generator-seed): the same on every run
  std::vector<std::pair<DurationNs, std::uint32_t>> queued;
  for (std::uint32_t slot = 0; slot < 400; ++slot) {
    const DurationNs deadline{static_cast<std::int64_t>(random() % 50)};
    if (queued.size() < 40) {
      push(slot, 2, deadline, 3);
      queued.emplace_back(deadline, slot);
    }
    if (random() % 2 == 0) {
      // Often the latest: what is known of it must not outlive it.
      const auto at = random() % 2 == 0 ? std::max_element(queued.begin(), queued.end()) : queued.begin();
      queue.remove(at->second);
      queued.erase(at);
    }
    const DurationNs newcomer{static_cast<std::int64_t>(random() % 60)};
    const auto sooner = std::count_if(queued.begin(), queued.end(), [&](const auto& e) { return e.first <= newcomer; });
    CHECK(queue.rows_before(2, kStart + newcomer) == 3 * sooner);
    if (queued.empty()) {
      push(slot + 1000, 2, DurationNs{1}, 3);
      queued.emplace_back(DurationNs{1}, slot + 1000);
    }
  }
}

TEST_CASE_FIXTURE(PrioritiesFixture, "beyond so many of its own priority a newcomer is taken to come last of them") {
  for (std::uint32_t slot = 0; slot < 500; ++slot) {
    push(slot, 1, (slot + 1) * 1ms);
  }
  CHECK(queue.rows_before(1, kStart + 60ms) == 60);
  CHECK(queue.rows_before(1, kStart + 100ms) == 500);
  CHECK(queue.rows_before(1, kStart + 500ms) == 500);
}

}  // namespace
}  // namespace mark
