#include "net/rpc/batch_sender.h"

#include <utility>

#include "net/rpc/trace_notes.h"

namespace mark::net {

BatchSender::BatchSender(EventLoop& home, Endpoint& endpoint, DurationNs rt_max, BatchSenderOwner& owner)
    : home_(home), endpoint_(endpoint), rt_max_(rt_max), owner_(owner) {}

BatchSender::~BatchSender() {
  for (const auto& [id, entry] : workers_) {
    if (entry->left_alone) home_.cancel(*entry->left_alone);
    entry->carrier->close();
  }
}

BatchSender::Worker* BatchSender::find(WorkerId worker) const {
  const auto found = workers_.find(worker);
  return found == workers_.end() ? nullptr : found->second.get();
}

BatchCarrier* BatchSender::carrier_of(WorkerId worker) const {
  const Worker* const entry = find(worker);
  return entry == nullptr ? nullptr : entry->carrier.get();
}

void BatchSender::add(WorkerId worker, std::unique_ptr<BatchCarrier> carrier, const WorkerSpec& spec) {
  workers_[worker] = std::make_unique<Worker>(std::move(carrier), spec);
  connect(worker);
}

void BatchSender::connect(WorkerId worker) {
  Worker* const entry = find(worker);
  if (entry == nullptr || entry->draining) return;
  const DurationNs alone = entry->life.left_alone();
  const auto ask = [this, worker] {
    Worker* const asked = find(worker);
    asked->left_alone.reset();
    asked->carrier->when_ready([this, worker] {
      Worker* const ready = find(worker);
      if (ready->draining) return;
      endpoint_.worker_up(worker, ready->spec, steady_now());
      ready->life.up();
      owner_.on_worker_ready(worker);
      owner_.on_changed();
    });
  };
  if (alone > DurationNs::zero()) {
    entry->left_alone = home_.call_at(steady_now() + alone, ask);
  } else {
    ask();
  }
}

void BatchSender::take_down(WorkerId worker, Worker& entry) {
  if (!entry.life.down()) return;
  owner_.on_replies(endpoint_.worker_down(worker, steady_now()));
  owner_.on_changed();
}

void BatchSender::drain(WorkerId worker, Drained drained) {
  Worker* const entry = find(worker);
  if (entry == nullptr) {
    drained();
    return;
  }
  entry->draining = true;
  entry->drained.push_back(std::move(drained));
  endpoint_.worker_drain(worker);
  owner_.on_changed();
  finish_drain(worker);
}

void BatchSender::finish_drain(WorkerId worker) {
  const Worker* const entry = find(worker);
  if (entry == nullptr || !entry->draining) return;
  if (!entry->life.is_up() || !endpoint_.worker_busy(worker)) remove(worker);
}

void BatchSender::remove(WorkerId worker) {
  const auto node = workers_.extract(worker);
  if (node.empty()) return;
  const std::shared_ptr<Worker> entry = std::move(node.mapped());
  if (entry->left_alone) home_.cancel(*entry->left_alone);
  entry->carrier->close();
  take_down(worker, *entry);
  for (const Drained& drained : entry->drained) drained();
  home_.defer([entry] {});  // a result of its carrier may be on the stack
}

void BatchSender::remove_all() {
  while (!workers_.empty()) remove(workers_.begin()->first);
}

void BatchSender::send(const OutboundBatch& batch) {
  Worker* const entry = find(batch.worker);
  const DurationNs timeout = WorkerLife::timeout(batch.predicted_finish - steady_now(), rt_max_);
  const Sent sent{.batch = batch.batch, .worker = batch.worker, .requests = batch.requests, .life = entry->life.life()};
  note_sent(batch.trace, *entry->carrier);
  entry->carrier->send(batch, timeout, [this, sent, trace = batch.trace](BatchResult result) {
    note_result(trace, result);
    ended(sent, std::move(result));
  });
}

void BatchSender::ended(const Sent& batch, BatchResult result) {
  Worker* const entry = find(batch.worker);
  if (entry == nullptr) return;
  std::vector<Reply> replies;
  switch (result.kind) {
    case BatchResult::Kind::kAnswered:
      entry->life.answered();
      replies = endpoint_.complete(batch.batch, result.text, steady_now());
      break;
    case BatchResult::Kind::kCompleted:
      entry->life.answered();
      replies = std::move(result.replies);
      break;
    case BatchResult::Kind::kModelError:
      replies = endpoint_.fail(batch.batch, Failure::kModelError, result.text, steady_now());
      break;
    default:
      lost(batch, *entry, result);
  }
  owner_.on_replies(std::move(replies));
  owner_.on_changed();
  finish_drain(batch.worker);
}

void BatchSender::lost(const Sent& batch, Worker& entry, const BatchResult& result) {
  if (!entry.life.lost(batch.life, result.kind == BatchResult::Kind::kHung)) return;
  owner_.on_batch_lost(batch.requests, result.text);
  take_down(batch.worker, entry);
  connect(batch.worker);
}

std::vector<WorkerReport> BatchSender::reports() const {
  std::vector<WorkerReport> reports;
  reports.reserve(workers_.size());
  for (const auto& [id, entry] : workers_) {
    reports.push_back({.worker = id,
                       .address = entry->carrier->address(),
                       .last_probe = entry->carrier->last_probe(),
                       .up = entry->life.is_up(),
                       .draining = entry->draining,
                       .hung = entry->life.is_hung()});
  }
  return reports;
}

}  // namespace mark::net
