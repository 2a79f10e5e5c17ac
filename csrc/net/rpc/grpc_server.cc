#include "net/rpc/grpc_server.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <future>
#include <memory>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include "net/rpc/listener.h"
#include "net/rpc/server_loop.h"

namespace mark::net {

namespace {

constexpr int kAcceptsPerTurn = 64;
// After the process ran out of file descriptors: until some connections have ended, maybe.
constexpr DurationNs kAcceptPause{50'000'000};

}  // namespace

// Belongs to the first loop once that runs, but for what other threads call.
class GrpcServer::State final : public FdWatcher {
 public:
  explicit State(GrpcServerParams params) : shared_(std::move(params)), listener_(shared_.params.address) {
    if (shared_.params.threads < 1) throw std::invalid_argument("a server has at least one thread");
    loops_.reserve(static_cast<std::size_t>(shared_.params.threads));
    for (int i = 0; i < shared_.params.threads; ++i) loops_.push_back(std::make_unique<ServerLoop>(shared_));
    given_.resize(loops_.size());
  }
  ~State() { stop(); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  void handle(std::string_view path, UnaryHandler& handler) { shared_.methods.emplace_back(path, &handler); }
  std::vector<CallLoop*> call_loops() {
    std::vector<CallLoop*> loops;
    loops.reserve(loops_.size());
    for (const auto& loop : loops_) loops.push_back(loop.get());
    return loops;
  }
  const std::string& address() const { return listener_.address(); }

  void start() {
    first().watch(listener_.fd(), EPOLLIN, *this);
    threads_.reserve(loops_.size());
    for (const auto& loop : loops_) {
      loop->watch_patience();
      threads_.emplace_back([&one = loop->loop()] { one.run(); });
    }
  }

  void drain() {
    shared_.draining = true;
    first().post([this] {
      if (listener_.fd() >= 0) on_ready(0);  // who has connected is told, and not cut off
      listen_no_more();
    });
    for (const auto& loop : loops_) loop->loop().post([&one = *loop] { one.drain(); });
  }

  void stop() {
    if (!threads_.empty()) {
      // Waits for it, so that no loop is given a connection after it has closed all.
      std::promise<void> quiet;
      first().post([this, &quiet] {
        listen_no_more();
        quiet.set_value();
      });
      quiet.get_future().wait();
    }
    for (const auto& loop : loops_) {
      // What other threads have posted is answered before, and written at the end of that turn.
      loop->loop().post([&one = *loop] {
        one.loop().defer_last([&one] {
          one.close_all();
          one.loop().stop();
        });
      });
    }
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
    listener_.close();
  }

  void on_ready(std::uint32_t /*epoll_events*/) override {
    for (int i = 0; i < kAcceptsPerTurn; ++i) {
      const int fd = listener_.accept();
      if (fd >= 0) {
        accepted(fd);
      } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        pause();
        return;
      } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
        return;
      }  // else: that client has left already
    }
  }

  GrpcServerCounts counts() const {
    GrpcServerCounts sum;
    sum.connections_refused = refused_.value();
    for (const auto& loop : loops_) {
      const ServerThreadCounts& one = loop->counts();
      sum.connections += one.connections.value();
      sum.connections_open += one.connections_open.value();
      sum.connections_hostile += one.connections_hostile.value();
      sum.connections_too_slow += one.connections_too_slow.value();
      sum.calls += one.calls.value();
      sum.calls_passed_on += one.calls_passed_on.value();
      sum.calls_cancelled += one.calls_cancelled.value();
      sum.messages_refused += one.messages_refused.value();
      sum.bytes_read += one.bytes_read.value();
      sum.bytes_written += one.bytes_written.value();
    }
    return sum;
  }

 private:
  EventLoop& first() { return loops_.front()->loop(); }

  void accepted(int fd) {
    if (shared_.connections_open.load(std::memory_order_relaxed) >= shared_.params.connections_max) {
      refused_.add();  // first: whoever sees the connection end finds it counted
      ::close(fd);
      return;
    }
    shared_.connections_open.fetch_add(1, std::memory_order_relaxed);
    // To the thread with the fewest: clients keep their connections, and few of them may be busy.
    ServerLoop& loop = emptiest();
    if (&loop.loop() == &first()) {
      loop.adopt(fd);
    } else {
      loop.loop().post([&loop, fd] { loop.adopt(fd); });
    }
  }

  // Of those with the least to do the next in turn.
  ServerLoop& emptiest() {
    double all = 0;
    for (std::size_t i = 0; i < loops_.size(); ++i) all += connections_of(i);
    const auto load = [&](std::size_t at) {
      return connections_of(at) + (at == 0 ? shared_.params.first_thread_share * all : 0.0);
    };
    std::size_t best = (last_ + 1) % loops_.size();
    for (std::size_t i = 0; i < loops_.size(); ++i) {
      const std::size_t other = (last_ + 1 + i) % loops_.size();
      if (load(other) < load(best)) best = other;
    }
    last_ = best;
    ++given_[best];
    return *loops_[best];
  }

  // Those that it was given and has not taken yet, too.
  double connections_of(std::size_t loop) const {
    const ServerThreadCounts& counts = loops_[loop]->counts();
    return static_cast<double>(given_[loop]) - static_cast<double>(counts.connections.value()) +
           static_cast<double>(counts.connections_open.value());
  }

  void pause() {
    refused_.add();
    first().unwatch(listener_.fd());
    first().call_at(first().now() + kAcceptPause, [this] {
      if (listener_.fd() >= 0) first().watch(listener_.fd(), EPOLLIN, *this);
    });
  }

  void listen_no_more() {
    if (listener_.fd() < 0) return;
    first().unwatch(listener_.fd());
    listener_.close();
  }

  ServerShared shared_;
  Listener listener_;
  std::vector<std::unique_ptr<ServerLoop>> loops_;
  std::vector<std::thread> threads_;
  ThreadCounter refused_;
  std::vector<std::uint64_t> given_;  // connections ever, by loop
  std::size_t last_ = 0;              // that was given one
};

GrpcServer::GrpcServer(GrpcServerParams params) : state_(std::make_unique<State>(std::move(params))) {}
GrpcServer::~GrpcServer() = default;
void GrpcServer::handle(std::string_view path, UnaryHandler& handler) { state_->handle(path, handler); }
std::vector<CallLoop*> GrpcServer::call_loops() { return state_->call_loops(); }
const std::string& GrpcServer::address() const { return state_->address(); }
void GrpcServer::start() { state_->start(); }
void GrpcServer::drain() { state_->drain(); }
void GrpcServer::stop() { state_->stop(); }
GrpcServerCounts GrpcServer::counts() const { return state_->counts(); }

}  // namespace mark::net
