#include <doctest/doctest.h>
#include <poll.h>

#include <thread>
#include <variant>

#include "net/rpc/notices.h"

namespace mark::net {
namespace {

bool readable(const Notices& notices, int patience_ms) {
  pollfd waited{.fd = notices.fd(), .events = POLLIN, .revents = 0};
  return poll(&waited, 1, patience_ms) == 1;
}

Notice lost(int requests) { return {.path = 0, .what = BatchLost{.requests = requests, .why = {}}}; }

TEST_CASE("the descriptor is readable from the first notice until they are taken") {
  Notices notices;
  CHECK_FALSE(readable(notices, 0));
  CHECK(notices.take().empty());
  notices.tell(lost(1));
  notices.tell(lost(2));
  CHECK(readable(notices, 0));
  CHECK(notices.take().size() == 2);
  CHECK_FALSE(readable(notices, 0));
}

TEST_CASE("no notice is left behind without a wake-up, and none changes its place, while others are taken") {
  constexpr int kNotices = 20'000;
  constexpr int kPatienceMs = 20'000;
  Notices notices;
  std::thread teller([&notices] {
    for (int i = 0; i < kNotices; ++i) notices.tell(lost(i));
  });
  int taken = 0;
  bool in_order = true;
  bool woken = true;
  while (taken < kNotices && woken) {
    woken = readable(notices, kPatienceMs);
    for (const Notice& notice : notices.take()) {
      in_order = std::get<BatchLost>(notice.what).requests == taken && in_order;
      ++taken;
    }
  }
  teller.join();
  CHECK(woken);
  CHECK(in_order);
  CHECK(taken == kNotices);
}

}  // namespace
}  // namespace mark::net
