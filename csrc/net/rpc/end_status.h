// The gRPC status of a request that got no answer.
#pragma once

#include "net/request_end.h"
#include "net/rpc/grpc_status.h"

namespace mark::net {

// With the pushback of an overloaded server, in the key that gRPC's own retry design (A6) reads: how long a client
// should wait before it tries again; negative: it should not.
GrpcStatus status_of(const RequestEnd& end);

}  // namespace mark::net
