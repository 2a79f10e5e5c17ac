#include "net/rpc/end_status.h"

#include <string>

namespace mark::net {

namespace {

StatusCode code_of(EndKind kind) {
  switch (kind) {
    case EndKind::kInvalidRequest:
      return StatusCode::kInvalidArgument;
    case EndKind::kModelNotFound:
      return StatusCode::kNotFound;
    case EndKind::kOverloaded:
      return StatusCode::kResourceExhausted;
    case EndKind::kDeadlineExceeded:
      return StatusCode::kDeadlineExceeded;
    case EndKind::kModelFailed:
      return StatusCode::kInternal;
    case EndKind::kUnavailable:
      break;
  }
  return StatusCode::kUnavailable;
}

}  // namespace

GrpcStatus status_of(const RequestEnd& end) {
  GrpcStatus status{.code = code_of(end.kind), .message = status_text(end.message), .metadata = {}};
  if (end.kind == EndKind::kOverloaded) {
    status.metadata.emplace_back("grpc-retry-pushback-ms",
                                 end.retry_after_ms ? std::to_string(*end.retry_after_ms) : "-1");
  }
  return status;
}

}  // namespace mark::net
