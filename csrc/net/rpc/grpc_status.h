// How a gRPC call ended.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mark::net {

// Numbers of the gRPC specification.
enum class StatusCode : std::uint8_t {
  kOk = 0,
  kCancelled = 1,
  kUnknown = 2,
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kNotFound = 5,
  kAlreadyExists = 6,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kFailedPrecondition = 9,
  kAborted = 10,
  kOutOfRange = 11,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
  kDataLoss = 15,
  kUnauthenticated = 16,
};

std::string_view status_name(StatusCode code);  // "UNAVAILABLE"

struct GrpcStatus {
  StatusCode code = StatusCode::kOk;
  std::string message;                                        // any text; percent-encoded on the wire
  std::vector<std::pair<std::string, std::string>> metadata;  // trailing
};

}  // namespace mark::net
