// A model behind a server of its own: requests of any client are batched and handed to the thread that runs the model.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "net/oip_message.h"
#include "net/rpc/batch_handoff.h"
#include "net/rpc/grpc_server.h"
#include "net/rpc/ingress.h"
#include "net/rpc/notices.h"
#include "net/rpc/request_path.h"

namespace mark::net {

// Batches are whatever waits when the model is free, up to the signature's rows: with nothing to wait for, a request
// goes at once, and under load batches fill while the model computes. Deadlines are the clients' own.
//
// Thread safety: take(), complete() and fail() may be called from any thread, all else by the one that made it.
//
// Invariants
//   - a batch that was taken is completed or failed once, though its answers may go to nobody;
//   - nothing is taken after stop().
class ModelServer {
 public:
  // Binds at once; errors as GrpcServer, and std::invalid_argument for a signature that no request could fit.
  // `tracer`: null where no request is traced; a lane of it for each thread.
  ModelServer(const ModelSignature& signature, GrpcServerParams params, std::shared_ptr<Tracer> tracer = nullptr);
  ~ModelServer();  // stops
  ModelServer(const ModelServer&) = delete;
  ModelServer& operator=(const ModelServer&) = delete;

  const std::string& address() const { return server_.address(); }
  void start();
  void drain();  // refuses new requests; Notices tell AllAnswered once those that were accepted are over
  void stop();   // take() ends, too
  Notices& notices() { return notices_; }
  Statistics statistics() const { return path_.statistics(); }
  GrpcServerCounts counts() const { return server_.counts(); }
  const ModelSignature& signature() const { return path_.signature(); }

  // The next batch for the model; blocks until there is one, and is empty once the server has stopped.
  std::optional<TakenBatch> take() { return handoff_->take(); }
  void complete(const TakenBatch& taken, const std::vector<TensorView>& outputs);
  void fail(const TakenBatch& taken, std::string why);  // the model's own words

 private:
  Notices notices_;
  GrpcServer server_;
  Ingress ingress_;
  RequestPath& path_;
  const std::shared_ptr<BatchHandoff> handoff_;
  bool stopped_ = false;
};

}  // namespace mark::net
