// A ModelInferRequest as it lies on the wire: its fields, each well-formed.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/oip_message.h"
#include "net/oip_tensor.h"

namespace mark::net {

// The fields of the message, not yet compared with the signature. Views into the message.
struct RequestMessage {
  std::string_view model_name;
  std::string_view model_version;
  std::string_view id;
  std::vector<TensorMessage> inputs;
  std::vector<std::string_view> outputs;
  std::vector<std::string_view> raw;
};

RequestError invalid(const std::string& field, const std::string& explanation);

// "'logits', 'label'"
std::string names_of(const std::vector<TensorSpec>& specs);

std::optional<RequestError> scan_request(std::string_view message, RequestMessage& request);

}  // namespace mark::net
