// Races are found by running, under ThreadSanitizer: clients of several threads, calls that are answered at once, late
// and from other threads, given up and failed, connections that come and go, and a drain in the midst of it.
#include <doctest/doctest.h>

#include <atomic>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "echo_server.h"
#include "http2_client.h"

namespace mark::net {

namespace {

constexpr int kServerThreads = 2;
constexpr int kClients = 3;
constexpr int kRounds = 15;

// What one client does until it is told that the server goes.
void work(const std::string& address, std::atomic<int>& answered) {
  LoopThread loop;
  for (int round = 0; round < kRounds; ++round) {
    TestClient client(loop, address);
    std::vector<TestClient::Pending> pending;
    for (int i = 0; i < 20; ++i) {
      pending.push_back(client.start(kEchoPath, i % 5 == 4 ? "fail" : "x" + std::to_string(i)));
      auto [stream, given_up] =
          client.open(TestClient::call_headers(kEchoPath), framed(i % 2 == 0 ? "wait" : "y"), true);
      client.reset(stream);
      TestClient::wait(std::move(given_up));
      pending.push_back(client.start(kEchoPath, "wait"));
    }
    if (round % 3 == 2) continue;  // leaves without waiting
    for (auto& one : pending) {
      if (!TestClient::wait(std::move(one)).status().empty()) ++answered;
    }
  }
}

TEST_CASE("stress: answers from other threads, resets, connections that come and go, and a drain at last") {
  EchoServer echo(echo_params("127.0.0.1:0", kServerThreads));
  std::atomic<bool> done = false;
  std::atomic<int> answered = 0;
  std::thread answerer([&] {
    while (!done) {
      echo.handler.answer_all();
      echo.server.counts();
      std::this_thread::yield();
    }
  });
  std::vector<std::thread> clients;
  clients.reserve(kClients);
  for (int i = 0; i < kClients; ++i) clients.emplace_back([&] { work(echo.server.address(), answered); });
  for (std::thread& client : clients) client.join();
  CHECK(answered == kClients * kRounds / 3 * 2 * 40);
  CHECK(comes_true([&] { return echo.server.counts().connections_open == 0; }));
  {
    LoopThread loop;
    TestClient last(loop, echo.server.address());
    auto waiting = last.start(kEchoPath, "wait");
    echo.server.drain();
    CHECK_FALSE(TestClient::wait(std::move(waiting)).status().empty());
  }
  done = true;
  answerer.join();
  echo.server.stop();
  CHECK(echo.server.counts().connections_hostile == 0);
}

}  // namespace

}  // namespace mark::net
