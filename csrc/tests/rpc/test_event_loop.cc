#include <doctest/doctest.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "loop_thread.h"
#include "net/rpc/event_loop.h"

namespace mark::net {

namespace {

using namespace std::chrono_literals;

class Pipe {
 public:
  Pipe() { REQUIRE(pipe(ends_.data()) == 0); }
  ~Pipe() {
    for (const int end : ends_) close(end);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  int read_end() const { return ends_[0]; }
  void fill() const { REQUIRE(write(ends_[1], "x", 1) == 1); }

 private:
  std::array<int, 2> ends_{};
};

class Watcher final : public FdWatcher {
 public:
  explicit Watcher(std::function<void()> on_event) : on_event_(std::move(on_event)) {}
  void on_ready(std::uint32_t /*epoll_events*/) override { on_event_(); }

 private:
  std::function<void()> on_event_;
};

TEST_CASE("timers fire in the order of their times, those of one time in the order in which they were set") {
  EventLoop loop;
  std::string order;
  const TimeNs now = steady_now();
  loop.call_at(now + 3ms, [&] {
    order += 'd';
    loop.stop();
  });
  loop.call_at(now + 1ms, [&] { order += 'b'; });
  loop.call_at(now + 1ms, [&] { order += 'c'; });
  loop.call_at(now - 1s, [&] { order += 'a'; });
  const auto never = loop.call_at(now + 2ms, [&] { order += 'x'; });
  loop.cancel(never);
  loop.run();
  CHECK(order == "abcd");
  CHECK(steady_now() - now >= 3ms);
}

TEST_CASE("a timer that sets itself again does not keep the loop from its other work") {
  EventLoop loop;
  int fired = 0;
  std::function<void()> again = [&] {
    ++fired;
    loop.call_at(TimeNs{}, again);
  };
  loop.call_at(TimeNs{}, again);
  loop.call_at(TimeNs{}, [&] { loop.post([&] { loop.stop(); }); });
  loop.run();
  CHECK(fired >= 1);
  CHECK(fired < 10);
}

TEST_CASE("a timer may cancel another one of the same turn") {
  EventLoop loop;
  bool fired = false;
  EventLoop::TimerId other;
  loop.call_at(TimeNs{}, [&] {
    loop.cancel(other);
    loop.stop();
  });
  other = loop.call_at(TimeNs{}, [&] { fired = true; });
  loop.run();
  CHECK_FALSE(fired);
}

TEST_CASE("tasks of many threads all run, those of each in order, and none after stop() is lost") {
  constexpr int kThreads = 4;
  constexpr int kTasks = 5'000;
  EventLoop loop;
  std::array<int, kThreads> next{};
  bool in_order = true;
  std::thread runner([&] { loop.run(); });
  std::vector<std::thread> posters;
  posters.reserve(kThreads);
  for (std::size_t thread = 0; thread < kThreads; ++thread) {
    posters.emplace_back([&, thread] {
      for (int i = 0; i < kTasks; ++i) {
        loop.post([&, thread, i] { in_order = in_order && next[thread]++ == i; });
      }
    });
  }
  for (std::thread& poster : posters) poster.join();
  loop.stop();
  runner.join();
  CHECK(in_order);
  for (const int count : next) CHECK(count == kTasks);
}

// Each hands it to the other, which mostly sleeps by then, and now and then is about to.
TEST_CASE("no task is slept through: two loops hand one to and fro") {
  constexpr int kTimes = 20'000;
  std::array<EventLoop, 2> loops;
  int times = 0;
  std::function<void()> hand_over = [&] {
    if (++times == kTimes) {
      for (EventLoop& loop : loops) loop.stop();
    } else {
      loops[static_cast<std::size_t>(times % 2)].post(hand_over);
    }
  };
  loops[0].post([&] { hand_over(); });
  std::array<std::thread, 2> threads{std::thread([&] { loops[0].run(); }), std::thread([&] { loops[1].run(); })};
  for (std::thread& thread : threads) thread.join();
  CHECK(times == kTimes);
}

TEST_CASE("a task that is posted by the loop itself runs in its next turn, without an event") {
  EventLoop loop;
  int turns = 0;
  std::function<void()> again = [&] {
    if (++turns == 1000) return loop.stop();
    loop.post(again);
  };
  loop.post(again);
  loop.run();
  CHECK(turns == 1000);
}

TEST_CASE(
    "deferred tasks run after the turn's other work, the last ones after them, also those of before the first turn") {
  EventLoop loop;
  std::string order;
  loop.defer_last([&] { order += 'z'; });
  loop.defer([&] {
    order += 'b';
    loop.defer_last([&] { order += 'y'; });
    loop.defer([&] { order += 'c'; });
  });
  loop.post([&] { order += 'a'; });
  loop.defer([&] { loop.post([&] { loop.stop(); }); });
  loop.run();
  CHECK(order == "abczy");
}

TEST_CASE("a watcher that another ends in the same turn is not called") {
  EventLoop loop;
  Pipe one;
  Pipe other;
  one.fill();
  other.fill();
  int calls = 0;
  const auto end_both = [&] {
    ++calls;
    loop.unwatch(one.read_end());
    loop.unwatch(other.read_end());
    loop.unwatch(other.read_end());  // again: nothing happens
    loop.stop();
  };
  Watcher first(end_both);
  Watcher second(end_both);
  loop.watch(one.read_end(), EPOLLIN, first);
  loop.watch(other.read_end(), EPOLLIN, second);
  loop.run();
  CHECK(calls == 1);
}

TEST_CASE("who takes a number over from one that ended in the same turn is called, and not its predecessor") {
  EventLoop loop;
  Pipe one;
  auto other = std::make_unique<Pipe>();
  one.fill();
  other->fill();
  const int number = other->read_end();
  bool predecessor_called = false;
  std::unique_ptr<Pipe> heir;
  Watcher predecessor([&] { predecessor_called = true; });
  int heir_calls = 0;
  Watcher successor([&] {
    ++heir_calls;
    loop.unwatch(heir->read_end());
    loop.stop();
  });
  Watcher first([&] {
    loop.unwatch(one.read_end());
    loop.unwatch(number);
    other.reset();
    heir = std::make_unique<Pipe>();
    REQUIRE(heir->read_end() == number);
    heir->fill();
    loop.watch(number, EPOLLIN, successor);
  });
  loop.watch(one.read_end(), EPOLLIN, first);
  loop.watch(number, EPOLLIN, predecessor);
  loop.run();
  CHECK_FALSE(predecessor_called);
  CHECK(heir_calls == 1);
}

TEST_CASE("what a watcher waits for can change") {
  EventLoop loop;
  Pipe one;
  one.fill();
  int calls = 0;
  Watcher watcher([&] {
    if (++calls == 3) loop.rewatch(one.read_end(), 0);
    if (calls == 3) loop.call_at(loop.now() + 1ms, [&] { loop.stop(); });
  });
  loop.watch(one.read_end(), EPOLLIN, watcher);
  loop.run();
  CHECK(calls == 3);
  loop.unwatch(one.read_end());
}

TEST_CASE("a loop that was stopped runs no more") {
  EventLoop loop;
  loop.stop();
  loop.run();
  loop.run();
}

}  // namespace

}  // namespace mark::net
