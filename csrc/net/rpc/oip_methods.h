// Methods of the Open Inference Protocol, as gRPC names them in a path.
#pragma once

#include <string_view>

namespace mark::net {

inline constexpr std::string_view kModelInferMethod = "/inference.GRPCInferenceService/ModelInfer";
inline constexpr std::string_view kModelReadyMethod = "/inference.GRPCInferenceService/ModelReady";

}  // namespace mark::net
