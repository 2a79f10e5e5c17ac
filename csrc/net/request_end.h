// How a request ends that gets no answer, in the words that its client reads. The one place of these words: both
// ingresses take them from here.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/endpoint.h"

namespace mark::net {

// As the exceptions of mark.errors are called.
enum class EndKind : std::uint8_t {
  kInvalidRequest,
  kModelNotFound,
  kOverloaded,
  kDeadlineExceeded,
  kUnavailable,
  kModelFailed,
};

// The gRPC status of an end, by its name: "UNAVAILABLE".
std::string_view status_name_of(EndKind kind);

struct RequestEnd {
  EndKind kind = EndKind::kUnavailable;
  std::string message;
  std::optional<std::int64_t> retry_after_ms;  // of kOverloaded; empty: to wait does not help
};

RequestEnd end_of(const RequestError& error);
RequestEnd end_of(const Refusal& refusal);
// Of an accepted request; `detail` as in its Reply, `backlog` as the endpoint has it now.
RequestEnd end_of(Outcome outcome, std::string_view detail, DurationNs backlog);
RequestEnd unknown_model(std::string_view name, const std::vector<std::string>& served);
RequestEnd unknown_version(std::string_view model, std::string_view version, std::string_view served);
RequestEnd refused_for_stop();  // on arrival
RequestEnd ended_by_stop();     // while it waited

// The text as a status may carry it: what is no UTF-8 is escaped as \xNN, and the whole cut to 600 characters, for gRPC
// may refuse trailers beyond 8 KiB and a character takes up to 12 bytes there.
std::string status_text(std::string_view text);

}  // namespace mark::net
