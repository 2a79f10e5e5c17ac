// One model's request path, bytes in and bytes out: signature, payload slots and dispatcher. An ingress hands requests
// in and sends the answers back; a worker link carries the batches. Both the grpcio and the native ingress stand on it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "mark/concurrent_dispatcher.h"
#include "net/batch_message.h"
#include "net/oip_message.h"
#include "net/tracer.h"

namespace mark::net {

// A batch ready for its worker. Whoever carries it writes its message, or gathers its tensors: there is no message
// where the model is in this very process.
struct OutboundBatch {
  BatchId batch;
  WorkerId worker;
  std::shared_ptr<const ModelSignature> signature;
  std::shared_ptr<const std::vector<Payload>> payloads;  // in the batch's order; never null, never empty
  int requests = 0;
  int rows = 0;
  int size = 0;  // rows of the message, where it was padded to an allowed size; else 0
  DispatchReason reason = DispatchReason::kIdle;
  TimeNs predicted_finish;
  TimeNs earliest_deadline;
  std::shared_ptr<BatchTrace> trace = nullptr;  // null: no request of it is sampled

  // One ModelInferRequest, its id that of the batch.
  std::string message() const;
  std::vector<Piece> message_pieces() const;
};

// The end of one request: a ModelInferResponse, or why there is none.
struct Reply {
  RequestId request;
  std::uint64_t caller = 0;            // as it was given to submit()
  Payload payload;                     // to be let go of where it came from: memory goes back to its own thread best
  std::optional<std::string> message;  // set when answered
  Outcome outcome = Outcome::kAnswered;
  std::string detail;  // the worker's words, when a model error has any
};

struct Refusal {
  Admission admission = Admission::kQueueFull;
  DurationNs retry_after{};  // how long until the backlog is served
};

struct EndpointDecisions {
  std::vector<OutboundBatch> batches;
  std::vector<Reply> replies;
};

// Thread safety: every method may be called from any thread.
//
// Invariants
//   - a request accepted by submit() gets exactly one Reply, from poll(), complete(), fail() or worker_down(), unless
//     cancel() returned true for it;
//   - its payload is the Reply's from that moment.
class Endpoint {
 public:
  Endpoint(ModelSignature signature, const DispatcherParams& params);
  ~Endpoint();

  // Scans, checks, stores and queues one ModelInferRequest. `caller` comes back in its Reply: another thread may poll
  // that before this one has learned the id. `trace`, of a sampled request, comes along with its batch.
  std::variant<RequestId, RequestError, Refusal> submit(std::string_view message, TimeNs deadline, TimeNs now,
                                                        std::uint64_t caller = 0,
                                                        const std::shared_ptr<RequestTrace>& trace = nullptr);
  // Every batch is to be reported by complete() or fail(), unless its worker goes down after poll() returned it.
  EndpointDecisions poll(TimeNs now);
  std::optional<TimeNs> next_wakeup() const;
  // The worker's ModelInferResponse. A response that does not fit the batch counts as a model error of the batch.
  std::vector<Reply> complete(BatchId batch, std::string_view response, TimeNs now);
  // The outputs themselves, where the model is in this process; they are read before the call returns.
  std::vector<Reply> complete(BatchId batch, const std::vector<TensorView>& outputs, TimeNs now);
  std::vector<Reply> fail(BatchId batch, Failure failure, std::string_view detail, TimeNs now);
  bool cancel(RequestId request, TimeNs now);

  void worker_up(WorkerId worker, const WorkerSpec& spec, TimeNs now);
  void worker_drain(WorkerId worker);
  bool worker_busy(WorkerId worker) const;
  std::vector<Reply> worker_down(WorkerId worker, TimeNs now);

  void retune(const DispatcherParams& params, TimeNs now);  // as in Dispatcher

  void shed(double share);  // as in Dispatcher

  DurationNs backlog(TimeNs now) const;
  Statistics statistics() const;
  const ModelSignature& signature() const;

 private:
  class State;
  std::unique_ptr<State> state_;
};

}  // namespace mark::net
