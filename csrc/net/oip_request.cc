// ModelInferRequest: checked on the way in.
#include <algorithm>
#include <numeric>
#include <optional>
#include <utility>

#include "net/oip_message.h"
#include "net/oip_request_message.h"
#include "net/oip_tensor.h"
#include "net/request_end.h"
#include "net/tensor_contents.h"
#include "net/wire.h"

namespace mark::net {

namespace {

using Error = std::optional<RequestError>;

Error check_target(const RequestMessage& request, const ModelSignature& signature) {
  if (request.model_name != signature.name) {
    return RequestError{RequestFault::kUnknownModel, "model_name",
                        unknown_model(request.model_name, {signature.name}).message};
  }
  if (!request.model_version.empty() && request.model_version != signature.version) {
    return RequestError{RequestFault::kUnknownVersion, "model_version",
                        unknown_version(signature.name, request.model_version, signature.version).message};
  }
  return std::nullopt;
}

Error read_priority(const RequestMessage& request, InferRequest& parsed) {
  if (!request.priority) return std::nullopt;
  if (!request.priority->is_whole || request.priority->is_negative) {
    return invalid("parameters['priority']",
                   "must be a whole number, as int64_param or uint64_param, and not negative");
  }
  parsed.priority = request.priority->whole;
  return std::nullopt;
}

Error check_shape(std::size_t index, const TensorMessage& tensor, const TensorSpec& spec, int rows_max) {
  const auto refused = [&](const std::string& explanation) {
    return invalid(entry("inputs", index) + ".shape", explanation);
  };
  const auto is = [&] { return "is " + shape_text(tensor.shape); };
  if (tensor.shape.size() != spec.shape.size()) {
    return refused(is() + ", but " + quoted(spec.name) + " has " + std::to_string(spec.shape.size()) +
                   " dimensions: " + shape_text(spec.shape));
  }
  for (std::size_t i = 1; i < spec.shape.size(); ++i) {
    if (tensor.shape[i] < 0 || (spec.shape[i] != -1 && tensor.shape[i] != spec.shape[i])) {
      return refused(is() + ", but " + quoted(spec.name) + " takes " + shape_text(spec.shape));
    }
  }
  if (tensor.shape[0] < 1) return refused(is() + ": a request needs at least one row in dimension 0");
  if (tensor.shape[0] > rows_max) {
    return refused("has " + std::to_string(tensor.shape[0]) + " rows, more than the " + std::to_string(rows_max) +
                   " that one request may have; send several requests");
  }
  if (elements_of(tensor.shape) < 0) return refused("is too large: " + shape_text(tensor.shape));
  return std::nullopt;
}

Error check_tensor(const RequestMessage& request, std::size_t index, const TensorSpec& spec, int rows_max) {
  const TensorMessage& tensor = request.inputs[index].tensor;
  const auto where = [&] { return entry("inputs", index); };
  if (tensor.shared_memory) {
    return invalid(where() + ".parameters", "shared memory is not supported; send the contents in the message");
  }
  if (tensor.datatype != datatype_name(spec.datatype)) {
    return invalid(where() + ".datatype", "is " + quoted(tensor.datatype) + ", but " + quoted(spec.name) + " takes " +
                                              std::string(datatype_name(spec.datatype)));
  }
  const bool both = !request.raw.empty() && tensor.typed;
  if (both && std::holds_alternative<ContentsFault>(raw_from_contents(tensor.message, spec.datatype, 0))) {
    return invalid(where() + ".contents", "must be empty when raw_input_contents is used");
  }
  return check_shape(index, tensor, spec, rows_max);
}

Error check_raw(std::string_view raw, std::size_t index, Datatype datatype, const std::vector<std::int64_t>& shape) {
  const std::int64_t expected = elements_of(shape);
  const std::int64_t found = count_elements(raw, datatype);
  if (found == expected) return std::nullopt;
  const std::string field = entry("raw_input_contents", index);
  const std::string wanted = std::string(datatype_name(datatype)) + " of shape " + shape_text(shape);
  if (datatype_bytes(datatype) > 0) {
    return invalid(field, "has " + std::to_string(raw.size()) + " bytes, but " + wanted + " takes " +
                              std::to_string(expected) + " elements of " + std::to_string(datatype_bytes(datatype)) +
                              " bytes");
  }
  if (found < 0) return invalid(field, "an element reaches past the end; each takes a 4-byte length and its bytes");
  return invalid(field,
                 "has " + std::to_string(found) + " elements, but " + wanted + " has " + std::to_string(expected));
}

// The tensor's contents in raw form, copied out of the message; just so many as its shape has.
std::variant<std::string, RequestError> contents_of(const RequestMessage& request, std::size_t index,
                                                    Datatype datatype) {
  const TensorMessage& tensor = request.inputs[index].tensor;
  if (!request.raw.empty()) {
    if (auto error = check_raw(request.raw[index], index, datatype, tensor.shape)) return *std::move(error);
    return std::string(request.raw[index]);
  }
  auto typed = raw_from_contents(tensor.message, datatype, elements_of(tensor.shape));
  if (const auto* fault = std::get_if<ContentsFault>(&typed)) {
    return invalid(entry("inputs", index) + ".contents", fault->message);
  }
  return std::get<std::string>(std::move(typed));
}

// Checks one input and puts it into its place.
Error read_input(const RequestMessage& request, std::size_t index, const ModelSignature& signature,
                 InferRequest& parsed) {
  const auto& [tensor, place] = request.inputs[index];
  const TensorSpec& spec = signature.inputs[place];
  if (auto error = check_tensor(request, index, spec, signature.rows_max)) return error;
  const auto rows = static_cast<int>(tensor.shape[0]);
  if (parsed.rows != 0 && parsed.rows != rows) {
    return invalid(entry("inputs", index) + ".shape",
                   "has " + std::to_string(rows) + " rows, but another input has " + std::to_string(parsed.rows));
  }
  parsed.rows = rows;
  auto raw = contents_of(request, index, spec.datatype);
  if (auto* error = std::get_if<RequestError>(&raw)) return std::move(*error);
  parsed.inputs[place] = {tensor.shape, std::get<std::string>(std::move(raw))};
  return std::nullopt;
}

Error read_inputs(const RequestMessage& request, const ModelSignature& signature, InferRequest& parsed) {
  if (!request.raw.empty() && request.raw.size() != request.inputs.size()) {
    return invalid("raw_input_contents", "has " + std::to_string(request.raw.size()) + " entries for " +
                                             std::to_string(request.inputs.size()) + " inputs; give one for each");
  }
  parsed.inputs.resize(signature.inputs.size());
  for (std::size_t i = 0; i < request.inputs.size(); ++i) {
    if (auto error = read_input(request, i, signature, parsed)) return error;
  }
  // A shape has one dimension or more, so that an input without one was not given.
  const auto missing =
      std::find_if(parsed.inputs.begin(), parsed.inputs.end(), [](const Tensor& input) { return input.shape.empty(); });
  if (missing == parsed.inputs.end()) return std::nullopt;
  const auto& spec = signature.inputs[static_cast<std::size_t>(missing - parsed.inputs.begin())];
  return invalid("inputs", quoted(spec.name) + " is missing; the model takes " + names_of(signature.inputs));
}

}  // namespace

std::variant<InferRequest, RequestError> parse_infer_request(std::string_view message,
                                                             const ModelSignature& signature) {
  RequestMessage request;
  InferRequest parsed;
  Error error = scan_request(message, signature, request);
  // What is wrong with a message for another model is that it came here.
  const bool known = !error || (error->fault == RequestFault::kInvalid && !request.model_name.empty());
  if (auto other = known ? check_target(request, signature) : std::nullopt) error = std::move(other);
  if (!error) error = read_priority(request, parsed);
  if (!error) error = read_inputs(request, signature, parsed);
  if (error) return *std::move(error);
  parsed.id = request.id;
  parsed.outputs = std::move(request.outputs);
  if (parsed.outputs.empty()) {
    parsed.outputs.resize(signature.outputs.size());
    std::iota(parsed.outputs.begin(), parsed.outputs.end(), 0);
  }
  return parsed;
}

}  // namespace mark::net
