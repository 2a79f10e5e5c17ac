// A ModelInferRequest as it lies on the wire: its fields, each well-formed and none more often than a model could use.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/oip_message.h"
#include "net/oip_tensor.h"

namespace mark::net {

// Views into the message; inputs and outputs by their places in the signature.
struct RequestMessage {
  struct Input {
    TensorMessage tensor;
    std::size_t place = 0;
  };

  std::string_view model_name;
  std::string_view model_version;
  std::string_view id;
  std::vector<Input> inputs;
  std::vector<int> outputs;
  std::vector<std::string_view> raw;
  std::optional<Parameter> priority;  // the last of that name, as in a map
};

RequestError invalid(const std::string& field, const std::string& explanation);

// "'logits', 'label'"
std::string names_of(const std::vector<TensorSpec>& specs);

// Compares names with the signature at once, so that no more entries are kept than the model has: a message of 64 MiB
// has room for 32 million. What was scanned before an error stays in `request`.
std::optional<RequestError> scan_request(std::string_view message, const ModelSignature& signature,
                                         RequestMessage& request);

}  // namespace mark::net
