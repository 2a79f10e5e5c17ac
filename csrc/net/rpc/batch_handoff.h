// Carries a model's batches to a thread of this very process: that of the model.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

#include "mark/mutex.h"
#include "mark/thread_annotations.h"
#include "net/rpc/batch_carrier.h"
#include "net/rpc/event_loop.h"

namespace mark::net {

// A batch that a thread has taken, and owes an answer.
struct TakenBatch {
  std::uint64_t ticket = 0;
  OutboundBatch batch;
};

// Between a loop that forms batches and a thread that computes them. Held by a shared_ptr.
//
// Thread safety: send() and forget() belong to the home loop, the rest to any thread.
//
// Invariants
//   - a batch is taken once, in the order in which it was sent;
//   - its answer arrives on the home loop once, and never after forget().
class BatchHandoff : public std::enable_shared_from_this<BatchHandoff> {
 public:
  explicit BatchHandoff(EventLoop& home) : home_(home) {}

  void send(const OutboundBatch& batch, BatchCarrier::Done done) EXCLUDES(mutex_);
  void forget() EXCLUDES(mutex_);  // what was sent and not answered

  // Blocks until there is a batch; empty once stop() was called.
  std::optional<TakenBatch> take() EXCLUDES(mutex_);
  void answer(std::uint64_t ticket, BatchResult result);
  void stop() EXCLUDES(mutex_);

 private:
  EventLoop& home_;
  std::unordered_map<std::uint64_t, BatchCarrier::Done> owed_;  // by ticket; the home loop's
  std::uint64_t tickets_ = 0;
  Mutex mutex_;
  ConditionVariable changed_;
  std::deque<TakenBatch> waiting_ GUARDED_BY(mutex_);
  bool stopped_ GUARDED_BY(mutex_) = false;
};

// A request path's end of it. It is ready from the beginning: the model was loaded before.
class HandoffCarrier final : public BatchCarrier {
 public:
  HandoffCarrier(std::shared_ptr<BatchHandoff> handoff, EventLoop& home) : handoff_(std::move(handoff)), home_(home) {}

  // A model that computes cannot be interrupted: there is nothing that a time-out could do.
  void send(const OutboundBatch& batch, DurationNs /*timeout*/, Done done) override {
    handoff_->send(batch, std::move(done));
  }
  void when_ready(std::function<void()> ready) override {
    home_.defer([closed = closed_, ready = std::move(ready)] {
      if (!*closed) ready();
    });
  }
  const std::string& address() const override { return address_; }
  const std::string& last_probe() const override { return last_probe_; }
  void close() override {
    *closed_ = true;
    handoff_->forget();
  }

 private:
  std::shared_ptr<BatchHandoff> handoff_;
  EventLoop& home_;
  const std::shared_ptr<bool> closed_ = std::make_shared<bool>(false);  // outlives this in what is deferred
  const std::string address_ = "this process";
  const std::string last_probe_ = "ready";
};

}  // namespace mark::net
