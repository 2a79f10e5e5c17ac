// The connection to one worker: batches out, answers in, over the Open Inference Protocol.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "mark/worker_life.h"
#include "net/rpc/batch_carrier.h"
#include "net/rpc/grpc_channel.h"

namespace mark::net {

struct WorkerLinkParams {
  std::string address;  // "host:port" or "unix:/path"
  std::string model;
  std::string version;
  std::shared_ptr<TlsContext> tls = nullptr;  // null: no TLS
  // Told what a probe found, where the one before found something else.
  std::function<void(const std::string& finding)> on_finding = nullptr;
};

// A channel to one worker, ours or any server of the Open Inference Protocol.
//
// Thread safety: none; belongs to the home loop of its request path.
//
// Invariants
//   - at most one probe is under way; it is repeated with growing pauses until the worker says that it is ready;
//   - each batch ends in one result, unless close() came first; a status that says nothing about the batch is a failure
//     of the link.
class WorkerLink final : public BatchCarrier {
 public:
  WorkerLink(EventLoop& loop, WorkerLinkParams params);  // throws std::invalid_argument for what is no address
  ~WorkerLink() override;
  WorkerLink(const WorkerLink&) = delete;
  WorkerLink& operator=(const WorkerLink&) = delete;

  void send(const OutboundBatch& batch, DurationNs timeout, Done done) override;
  void when_ready(std::function<void()> ready) override;
  const std::string& address() const override { return params_.address; }
  const std::string& last_probe() const override { return last_probe_; }
  void close() override;

  // Another identity, from the next connection on; batches in flight end on the present one.
  void retrust(std::shared_ptr<TlsContext> tls) { channel_.retrust(std::move(tls)); }
  std::size_t batches_in_flight() const { return batches_in_flight_; }

 private:
  void probe();
  void probed(const CallResult& result);
  void found(std::string finding);
  void probe_again();
  BatchResult result_of(CallResult result) const;

  EventLoop& loop_;
  const WorkerLinkParams params_;
  GrpcChannel channel_;
  std::function<void()> ready_;  // empty: nobody waits
  std::string last_probe_ = "not asked yet";
  ProbePauses pauses_;
  std::optional<EventLoop::TimerId> timer_;
  bool probing_ = false;
  std::size_t batches_in_flight_ = 0;
};

}  // namespace mark::net
