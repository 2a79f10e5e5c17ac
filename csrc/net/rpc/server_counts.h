// What one thread of a server counts: written by that thread alone, read by any.
#pragma once

#include <atomic>
#include <cstdint>

namespace mark::net {

// Thread safety: add() by one thread, value() by any.
class ThreadCounter {
 public:
  // Cheaper than an atomic increment, as nobody else writes.
  void add(std::uint64_t count = 1) { value_.store(value() + count, std::memory_order_relaxed); }
  void subtract(std::uint64_t count = 1) { value_.store(value() - count, std::memory_order_relaxed); }
  std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_ = 0;
};

struct ServerThreadCounts {
  ThreadCounter connections;
  ThreadCounter connections_open;
  ThreadCounter connections_hostile;
  ThreadCounter connections_too_slow;
  ThreadCounter calls;
  ThreadCounter calls_passed_on;
  ThreadCounter calls_cancelled;
  ThreadCounter messages_refused;
  ThreadCounter bytes_read;
  ThreadCounter bytes_written;
};

}  // namespace mark::net
