#include "net/rpc/batch_handoff.h"

namespace mark::net {

void BatchHandoff::send(const OutboundBatch& batch, BatchCarrier::Done done) {
  const std::uint64_t ticket = ++tickets_;
  owed_.emplace(ticket, std::move(done));
  {
    const MutexLock lock(mutex_);
    waiting_.push_back({.ticket = ticket, .batch = batch});
  }
  changed_.notify_all();
}

void BatchHandoff::forget() {
  owed_.clear();
  const MutexLock lock(mutex_);
  waiting_.clear();
}

std::optional<TakenBatch> BatchHandoff::take() {
  const MutexLock lock(mutex_);
  changed_.wait(mutex_, [this]() REQUIRES(mutex_) { return stopped_ || !waiting_.empty(); });
  if (stopped_) return std::nullopt;
  TakenBatch taken = std::move(waiting_.front());
  waiting_.pop_front();
  return taken;
}

void BatchHandoff::answer(std::uint64_t ticket, BatchResult result) {
  // Shared, for a task must be copyable.
  home_.post([self = shared_from_this(), ticket, result = std::make_shared<BatchResult>(std::move(result))] {
    const auto node = self->owed_.extract(ticket);
    if (!node.empty()) node.mapped()(std::move(*result));
  });
}

void BatchHandoff::stop() {
  {
    const MutexLock lock(mutex_);
    stopped_ = true;
  }
  changed_.notify_all();
}

}  // namespace mark::net
