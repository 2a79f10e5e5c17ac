#include "net/rpc/worker_link.h"

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

#include "net/link_status.h"
#include "net/rpc/oip_methods.h"
#include "net/wire.h"

namespace mark::net {

namespace {

using namespace std::chrono_literals;

std::string ready_request(const WorkerLinkParams& params) {
  constexpr std::uint32_t kName = 1;
  constexpr std::uint32_t kVersion = 2;
  std::string message;
  WireWriter writer(message);
  writer.text(kName, params.model);
  writer.text(kVersion, params.version);
  return message;
}

// Nothing when it is no ModelReadyResponse.
std::optional<bool> is_ready(std::string_view response) {
  constexpr std::uint32_t kReady = 1;
  bool ready = false;
  WireReader reader(response);
  while (const auto field = reader.next()) {
    if (field->number == kReady && field->type == WireType::kVarint) ready = field->value != 0;
  }
  return reader.ok() ? std::optional(ready) : std::nullopt;
}

CallMetadata metadata_of(TraceHeaders headers) {
  CallMetadata metadata;
  metadata.emplace_back(kTraceParentHeader, std::move(headers.parent));
  if (!headers.state.empty()) metadata.emplace_back(kTraceStateHeader, std::move(headers.state));
  return metadata;
}

std::string words_of(const GrpcStatus& status) { return std::string(status_name(status.code)) + ": " + status.message; }

}  // namespace

WorkerLink::WorkerLink(EventLoop& loop, WorkerLinkParams params)
    : loop_(loop), params_(std::move(params)), channel_(loop, {.address = params_.address, .tls = params_.tls}) {}

WorkerLink::~WorkerLink() { close(); }

void WorkerLink::close() {
  if (timer_) loop_.cancel(*timer_);
  timer_.reset();
  ready_ = nullptr;
  batches_in_flight_ = 0;
  channel_.close();
}

void WorkerLink::send(const OutboundBatch& batch, DurationNs timeout, Done done) {
  ++batches_in_flight_;
  channel_.call(
      kModelInferMethod, batch.message_pieces(), steady_now() + timeout,
      [this, done = std::move(done)](CallResult result) {
        --batches_in_flight_;
        done(result_of(std::move(result)));
      },
      batch.trace ? metadata_of(batch.trace->call_headers()) : CallMetadata{});
}

BatchResult WorkerLink::result_of(CallResult result) const {
  using Kind = BatchResult::Kind;
  GrpcStatus& status = result.status;
  if (status.code == StatusCode::kOk) return {.kind = Kind::kAnswered, .text = std::move(result.message)};
  if (is_of_the_link(status_name(status.code))) {
    return {.kind = status.code == StatusCode::kDeadlineExceeded ? Kind::kHung : Kind::kLinkFailed,
            .text = "worker " + params_.address + ": " + words_of(status)};
  }
  return {.kind = Kind::kModelError, .text = status.message.empty() ? words_of(status) : std::move(status.message)};
}

void WorkerLink::when_ready(std::function<void()> ready) {
  ready_ = std::move(ready);
  if (timer_) loop_.cancel(*timer_);
  timer_.reset();
  pauses_.restart();
  if (!probing_) probe();
}

void WorkerLink::probe() {
  probing_ = true;
  std::vector<Piece> message;
  message.emplace_back(ready_request(params_));
  channel_.call(kModelReadyMethod, std::move(message), steady_now() + ProbePauses::kAnswerTimeout,
                [this](const CallResult& result) {
                  probing_ = false;
                  probed(result);
                });
}

void WorkerLink::probed(const CallResult& result) {
  if (result.status.code != StatusCode::kOk) {
    found(words_of(result.status));
    return probe_again();
  }
  const std::optional<bool> ready = is_ready(result.message);
  if (!ready) {
    found("its answer is not of the Open Inference Protocol");
    return probe_again();
  }
  found(*ready ? "ready" : "it answers that it is not ready");
  if (!*ready) return probe_again();
  // It may destroy this.
  if (const auto told = std::exchange(ready_, nullptr)) told();
}

void WorkerLink::found(std::string finding) {
  if (finding == last_probe_) return;
  last_probe_ = std::move(finding);
  if (params_.on_finding) params_.on_finding(last_probe_);
}

void WorkerLink::probe_again() {
  timer_ = loop_.call_at(steady_now() + pauses_.next(), [this] {
    timer_.reset();
    probe();
  });
}

}  // namespace mark::net
