// What becomes of the requests whose trace is sampled, and when. The drivers note it; somebody else exports the spans.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mark/mutex.h"
#include "mark/request.h"
#include "mark/thread_annotations.h"
#include "mark/types.h"
#include "net/trace_context.h"

namespace mark::net {

enum class SpanName : std::uint8_t {
  kRequest,   // from arrival to answer
  kQueue,     // until a batch takes it; again after each batch that failed
  kBatch,     // from its way out to its answer, with links to its requests
  kCompute,   // the model runs, in this process
  kFunction,  // a serverless function has it
};

// A batch as its span tells of it.
struct BatchFacts {
  std::string model;
  int requests = 0;
  int rows = 0;
  int size = 0;                          // rows with the padding; 0: there was none
  std::optional<DispatchReason> reason;  // why it left when it did
  std::optional<TimeNs> predicted_finish;
};

// One that has ended.
struct Span {
  SpanName name = SpanName::kRequest;
  TraceContext context;
  std::uint64_t parent = 0;  // in the same trace; 0: none
  bool is_parent_remote = false;
  bool is_call = false;  // of another process
  TimeNs began;
  TimeNs ended;
  std::vector<TraceContext> links;  // of a batch: its requests; of a request: its batches
  std::string status = "OK";        // the name of a gRPC status
  std::string message;              // why it is none of "OK"
  std::string worker;               // where a batch went
  BatchFacts facts;                 // of a batch, and the model of any
};

struct TracerParams {
  double share = 0.0;  // of the requests whose client does not say whether they are sampled, in [0, 1]
  int lanes = 1;
  std::uint64_t seed = 0;  // of ids and of what is sampled
  std::size_t spans_max = 16'384;
};

struct TracerCounts {
  std::uint64_t requests = 0;       // that were sampled
  std::uint64_t spans_dropped = 0;  // for want of room
};

class RequestTrace;

// Thread safety: a lane of begin() belongs to one thread; the rest may be called from any.
//
// Invariants
//   - spans are taken once; what ends while `spans_max` wait to be taken is dropped, and counted;
//   - a request that is not sampled costs a look at its headers and one random number.
class Tracer : public std::enable_shared_from_this<Tracer> {
 public:
  explicit Tracer(const TracerParams& params);

  // Null for a request that is not sampled: its client's word on that counts, where it gives one.
  std::shared_ptr<RequestTrace> begin(std::size_t lane, const TraceHeaders* headers, std::string_view model,
                                      TimeNs now);
  std::vector<Span> take() EXCLUDES(mutex_);
  TracerCounts counts() const EXCLUDES(mutex_);

 private:
  friend class RequestTrace;
  friend class BatchTrace;
  struct alignas(64) Lane {
    std::uint64_t state = 0;
  };

  void keep(Span span) EXCLUDES(mutex_);

  const double share_;
  const std::size_t spans_max_;
  std::vector<Lane> lanes_;
  mutable Mutex mutex_;
  std::vector<Span> ended_ GUARDED_BY(mutex_);
  TracerCounts counts_ GUARDED_BY(mutex_);
};

// One sampled request, from arrival to answer.
//
// Thread safety: every method may be called from any thread.
//
// Invariants
//   - it ends once; what is noted afterwards changes nothing;
//   - its spans are those of one trace, its client's where that gave one.
class RequestTrace {
 public:
  RequestTrace(std::shared_ptr<Tracer> tracer, const std::optional<TraceContext>& parent, std::uint64_t seed,
               std::string_view model, TimeNs now);

  void queued(TimeNs now) EXCLUDES(mutex_);
  void refused() EXCLUDES(mutex_);  // it was not queued after all
  void end(std::string_view status, std::string_view message, TimeNs now) EXCLUDES(mutex_);
  const TraceContext& context() const { return context_; }

 private:
  friend class BatchTrace;

  TraceContext child() EXCLUDES(mutex_);  // the context of a new span below this one
  void taken_by(const TraceContext& batch, TimeNs now) EXCLUDES(mutex_);
  void given_back(TimeNs now) EXCLUDES(mutex_);  // its batch failed
  void keep_queue(TimeNs began, TimeNs ended) REQUIRES(mutex_);
  TraceContext child_locked() REQUIRES(mutex_);

  const std::shared_ptr<Tracer> tracer_;
  const std::string model_;
  const std::uint64_t parent_;
  Mutex mutex_;
  std::uint64_t ids_ GUARDED_BY(mutex_);
  const TraceContext context_;
  const TimeNs began_;
  std::optional<TimeNs> queued_ GUARDED_BY(mutex_);  // since when it waits
  std::vector<TraceContext> batches_ GUARDED_BY(mutex_);
  bool ended_ GUARDED_BY(mutex_) = false;
};

// A batch with at least one sampled request. Its span lies in the trace of the first of them.
//
// Thread safety: every method may be called from any thread, sent() before the others.
//
// Invariants
//   - it ends once, as lost when whoever carries it lets it go before.
class BatchTrace {
 public:
  // `requests`: never empty.
  BatchTrace(SpanName name, std::vector<std::shared_ptr<RequestTrace>> requests, BatchFacts facts);
  ~BatchTrace();
  BatchTrace(const BatchTrace&) = delete;
  BatchTrace& operator=(const BatchTrace&) = delete;

  void sent(std::string_view worker, TimeNs now) EXCLUDES(mutex_);
  TraceHeaders call_headers() EXCLUDES(mutex_);  // for the process that it is sent to
  void computed(TimeNs began, TimeNs ended) EXCLUDES(mutex_);
  void end(std::string_view status, std::string_view message, TimeNs now) EXCLUDES(mutex_);

 private:
  const std::vector<std::shared_ptr<RequestTrace>> requests_;
  Mutex mutex_;
  Span span_ GUARDED_BY(mutex_);
  bool sent_ GUARDED_BY(mutex_) = false;
  bool ended_ GUARDED_BY(mutex_) = false;
};

}  // namespace mark::net
