// A server for tests: echoes, fails when it is asked to, and keeps calls back until it is told.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "http2_client.h"
#include "net/rpc/grpc_server.h"

namespace mark::net {

// Answers "fail" with a status, "large" with 1 MiB, keeps "wait" until answer_all(), echoes all else.
class EchoHandler final : public UnaryHandler {
 public:
  void on_call(CallLoop& calls, UnaryCall call) override {
    if (call.message == "fail") {
      calls.fail(call.id, {StatusCode::kNotFound, "100% f\xc3\xbcr \n nothing", {{"more", "detail"}}});
      return;
    }
    if (call.message == "large") call.message = std::string(1 << 20, 'x');
    if (call.message != "wait") {
      calls.reply(call.id, std::move(call.message));
      return;
    }
    const std::lock_guard lock(mutex_);
    waiting_.push_back({&calls, call.id});
    deadline_ = call.deadline;
    changed_.notify_all();
  }
  void on_cancelled(CallLoop& calls, CallId call) override {
    const std::lock_guard lock(mutex_);
    std::erase_if(waiting_, [&](const auto& one) { return one.first == &calls && one.second == call; });
    ++cancelled_;
    changed_.notify_all();
  }

  bool wait_for(std::size_t waiting, int cancelled) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kTestPatience,
                             [&] { return waiting_.size() == waiting && cancelled_ == cancelled; });
  }
  void answer_all() {
    const std::lock_guard lock(mutex_);
    for (const auto& [calls, id] : std::exchange(waiting_, {})) {
      calls->loop().post([calls = calls, id = id] { calls->reply(id, "late"); });
    }
  }
  std::optional<TimeNs> deadline() {
    const std::lock_guard lock(mutex_);
    return deadline_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::pair<CallLoop*, CallId>> waiting_;
  std::optional<TimeNs> deadline_;
  int cancelled_ = 0;
};

inline GrpcServerParams echo_params(const std::string& address = "127.0.0.1:0", int threads = 1) {
  GrpcServerParams params;
  params.address = address;
  params.threads = threads;
  return params;
}

// The state will come; a test that waits for it in vain fails by its patience.
template <class Predicate>
bool comes_true(Predicate predicate) {
  const auto end = std::chrono::steady_clock::now() + kTestPatience;
  while (!predicate()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::yield();
  }
  return true;
}

struct EchoServer {
  explicit EchoServer(GrpcServerParams params = echo_params()) : server(std::move(params)) {
    server.handle(kEchoPath, handler);
    server.start();
  }

  EchoHandler handler;
  GrpcServer server;
};

}  // namespace mark::net
