// What carries a model's batches to where they are computed: a link to a worker, or a model in this very process.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "net/endpoint.h"

namespace mark::net {

struct BatchResult {
  enum class Kind : std::uint8_t {
    kAnswered,    // `text` is the ModelInferResponse
    kCompleted,   // whoever computed it told the endpoint: `replies` is what that gave
    kModelError,  // the worker refused the batch, or its model failed on it: `text` says why
    kLinkFailed,  // the worker, or the way to it, is gone
    kHung,        // it took the batch and did not answer in time
  };
  Kind kind = Kind::kAnswered;
  std::string text;
  // Given, so that who names the others in an initializer need not name it.
  std::vector<Reply> replies = {};  // NOLINT(readability-redundant-member-init)
};

// Thread safety: none; belongs to the home loop of its request path.
class BatchCarrier {
 public:
  using Done = std::function<void(BatchResult)>;
  virtual ~BatchCarrier() = default;

  // Calls done exactly once, later, unless close() came first. The batch must be answered before `timeout` has passed.
  virtual void send(const OutboundBatch& batch, DurationNs timeout, Done done) = 0;
  // Calls ready once the worker says that it serves the model; asks again, with growing pauses, until then.
  virtual void when_ready(std::function<void()> ready) = 0;
  virtual const std::string& address() const = 0;
  virtual const std::string& last_probe() const = 0;  // why it is not ready, in words
  virtual void close() = 0;                           // nothing is called afterwards
};

}  // namespace mark::net
