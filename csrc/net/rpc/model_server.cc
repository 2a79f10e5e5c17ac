#include "net/rpc/model_server.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "net/rpc/oip_methods.h"

namespace mark::net {

namespace {

using namespace std::chrono_literals;

constexpr WorkerId kModel{1};
// As many as a dispatcher knows: a client that means one gets it, one that says none comes last.
constexpr int kPriorityLevels = 16;
constexpr std::int64_t kQueueBytesMax = std::int64_t{4} * 1024 * 1024 * 1024;

// What the model takes is not known, and need not be: a batch goes as soon as the model is free, whatever it takes. Nor
// is there a promise; a client that sets no deadline waits.
DispatcherParams params_of(const ModelSignature& signature) {
  DispatcherParams params;
  params.rt_max = 24h;
  params.rows_max = signature.rows_max;
  params.queue_bytes_max = kQueueBytesMax;
  params.admission = false;
  params.priority_levels = kPriorityLevels;
  params.priority_default = kPriorityLevels;
  params.corrects = false;
  return params;
}

WorkerSpec spec_of(const ModelSignature& signature) {
  return {.profile =
              LatencyProfile({{.rows = 1, .latency = 1us}, {.rows = std::max(signature.rows_max, 2), .latency = 1us}}),
          .rows_max = signature.rows_max,
          .batches_in_flight_max = 1};
}

}  // namespace

ModelServer::ModelServer(const ModelSignature& signature, GrpcServerParams params, std::shared_ptr<Tracer> tracer)
    : server_(std::move(params)),
      ingress_(server_.call_loops(), notices_, std::move(tracer)),
      path_(ingress_.add_model({.signature = signature, .dispatcher = params_of(signature)})),
      handoff_(std::make_shared<BatchHandoff>(path_.home())) {
  check_signature(signature);
  server_.handle(kModelInferMethod, ingress_);
}

ModelServer::~ModelServer() { stop(); }

void ModelServer::start() {
  path_.home().post([this] {
    path_.add_worker(kModel, std::make_unique<HandoffCarrier>(handoff_, path_.home()), spec_of(path_.signature()));
  });
  server_.start();
}

void ModelServer::drain() {
  ingress_.drain();
  server_.drain();
}

void ModelServer::stop() {
  if (stopped_) return;
  stopped_ = true;
  handoff_->stop();
  // Before the server closes its connections: who still waits is told why.
  path_.home().post([this] { path_.close(); });
  server_.stop();
}

void ModelServer::complete(const TakenBatch& taken, const std::vector<TensorView>& outputs) {
  // Here and not on the home loop: the outputs are the caller's for as long as this takes.
  handoff_->answer(taken.ticket, {.kind = BatchResult::Kind::kCompleted,
                                  .text = {},
                                  .replies = path_.endpoint().complete(taken.batch.batch, outputs, steady_now())});
}

void ModelServer::fail(const TakenBatch& taken, std::string why) {
  handoff_->answer(taken.ticket, {.kind = BatchResult::Kind::kModelError, .text = std::move(why), .replies = {}});
}

}  // namespace mark::net
