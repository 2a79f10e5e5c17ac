// ModelInferRequest: checked on the way in, concatenated on the way to a worker.
#include <algorithm>
#include <optional>
#include <utility>

#include "net/oip_message.h"
#include "net/oip_tensor.h"
#include "net/tensor_contents.h"
#include "net/wire.h"

namespace mark::net {

namespace {

constexpr std::uint32_t kModelName = 1;
constexpr std::uint32_t kModelVersion = 2;
constexpr std::uint32_t kId = 3;
constexpr std::uint32_t kInputs = 5;
constexpr std::uint32_t kOutputs = 6;
constexpr std::uint32_t kRawInputContents = 7;

using Error = std::optional<RequestError>;

RequestError invalid(const std::string& field, const std::string& explanation) {
  return {RequestFault::kInvalid, field, field + ": " + explanation};
}

RequestError malformed(const std::string& explanation) {
  return {RequestFault::kMalformed, "ModelInferRequest",
          "the message is not a valid ModelInferRequest: " + explanation};
}

std::string entry(std::string_view list, std::size_t index) {
  return std::string(list) + "[" + std::to_string(index) + "]";
}

std::string quoted(std::string_view text) { return "'" + printable(text) + "'"; }

template <class Specs>
std::string names_of(const Specs& specs) {
  std::string names;
  for (const TensorSpec& spec : specs) names += (names.empty() ? "" : ", ") + quoted(spec.name);
  return names;
}

// The fields of the message, not yet compared with the signature. Views into the message.
struct RequestMessage {
  std::string_view model_name;
  std::string_view model_version;
  std::string_view id;
  std::vector<TensorMessage> inputs;
  std::vector<std::string_view> outputs;
  std::vector<std::string_view> raw;
};

Error scan_output(std::string_view message, RequestMessage& request) {
  std::string_view name;
  WireReader reader(message);
  const std::string where = entry("outputs", request.outputs.size());
  while (const auto field = reader.next()) {
    if (field->number > 2) continue;
    if (field->type != WireType::kBytes) return malformed(where + " is garbage");
    if (field->number == 1) name = field->bytes;
    if (field->number == 2 && parameter_is(field->bytes, "shared_memory_region")) {
      return invalid(where + ".parameters", "shared memory is not supported; take the output from the response");
    }
  }
  if (!reader.ok()) return malformed(where + " is truncated or garbage");
  request.outputs.push_back(name);
  return std::nullopt;
}

Error scan_field(const Field& field, RequestMessage& request) {
  if (field.number > kRawInputContents || field.number == 0) return std::nullopt;
  if (field.type != WireType::kBytes) return malformed("field " + std::to_string(field.number) + " is garbage");
  switch (field.number) {
    case kModelName:
      request.model_name = field.bytes;
      break;
    case kModelVersion:
      request.model_version = field.bytes;
      break;
    case kId:
      request.id = field.bytes;
      break;
    case kInputs: {
      auto tensor = scan_tensor(field.bytes);
      if (!tensor) return malformed(entry("inputs", request.inputs.size()) + " is truncated or garbage");
      request.inputs.push_back(*std::move(tensor));
      break;
    }
    case kOutputs:
      return scan_output(field.bytes, request);
    case kRawInputContents:
      request.raw.push_back(field.bytes);
      break;
    default:
      break;
  }
  return std::nullopt;
}

Error scan(std::string_view message, RequestMessage& request) {
  WireReader reader(message);
  while (const auto field = reader.next()) {
    if (auto error = scan_field(*field, request)) return error;
  }
  return reader.ok() ? std::nullopt : Error{malformed("it is truncated or garbage")};
}

Error check_target(const RequestMessage& request, const ModelSignature& signature) {
  if (request.model_name != signature.name) {
    return RequestError{
        RequestFault::kUnknownModel, "model_name",
        "model_name: unknown model " + quoted(request.model_name) + "; this is " + quoted(signature.name)};
  }
  if (!request.model_version.empty() && request.model_version != signature.version) {
    return RequestError{RequestFault::kUnknownVersion, "model_version",
                        "model_version: model " + quoted(signature.name) + " has no version " +
                            quoted(request.model_version) + "; served is " + quoted(signature.version)};
  }
  return std::nullopt;
}

Error check_shape(const std::string& where, const TensorMessage& tensor, const TensorSpec& spec, int rows_max) {
  const std::string field = where + ".shape";
  const std::string wanted = shape_text(spec.shape);
  if (tensor.shape.size() != spec.shape.size()) {
    return invalid(field, "is " + shape_text(tensor.shape) + ", but " + quoted(spec.name) + " has " +
                              std::to_string(spec.shape.size()) + " dimensions: " + wanted);
  }
  for (std::size_t i = 1; i < spec.shape.size(); ++i) {
    if (tensor.shape[i] < 0 || (spec.shape[i] != -1 && tensor.shape[i] != spec.shape[i])) {
      return invalid(field, "is " + shape_text(tensor.shape) + ", but " + quoted(spec.name) + " takes " + wanted);
    }
  }
  if (tensor.shape[0] < 1) {
    return invalid(field, "is " + shape_text(tensor.shape) + ": a request needs at least one row in dimension 0");
  }
  if (tensor.shape[0] > rows_max) {
    return invalid(field, "has " + std::to_string(tensor.shape[0]) + " rows, more than the " +
                              std::to_string(rows_max) + " that one request may have; send several requests");
  }
  if (elements_of(tensor.shape) < 0) return invalid(field, "is too large: " + shape_text(tensor.shape));
  return std::nullopt;
}

// The tensor's contents in raw form, copied out of the message; checked against its shape.
std::variant<std::string, RequestError> contents_of(const RequestMessage& request, std::size_t index,
                                                    Datatype datatype) {
  const TensorMessage& tensor = request.inputs[index];
  std::string raw;
  std::string field = entry("raw_input_contents", index);
  if (!request.raw.empty()) {
    raw = request.raw[index];
  } else {
    field = entry("inputs", index) + ".contents";
    auto typed = raw_from_contents(tensor.contents.value_or(std::string_view{}), datatype);
    if (const auto* fault = std::get_if<ContentsFault>(&typed)) return invalid(field, fault->message);
    raw = std::get<std::string>(std::move(typed));
  }
  const std::int64_t expected = elements_of(tensor.shape);
  const std::int64_t found = count_elements(raw, datatype);
  if (found == expected) return raw;
  const std::string shape = std::string(datatype_name(datatype)) + " of shape " + shape_text(tensor.shape);
  if (datatype_bytes(datatype) > 0) {
    return invalid(field, "has " + std::to_string(raw.size()) + " bytes, but " + shape + " takes " +
                              std::to_string(expected) + " elements of " + std::to_string(datatype_bytes(datatype)) +
                              " bytes");
  }
  if (found < 0) return invalid(field, "an element reaches past the end; each takes a 4-byte length and its bytes");
  return invalid(field,
                 "has " + std::to_string(found) + " elements, but " + shape + " has " + std::to_string(expected));
}

Error check_tensor(const RequestMessage& request, std::size_t index, const TensorSpec& spec, int rows_max) {
  const TensorMessage& tensor = request.inputs[index];
  const std::string where = entry("inputs", index);
  if (tensor.shared_memory) {
    return invalid(where + ".parameters", "shared memory is not supported; send the contents in the message");
  }
  if (tensor.datatype != datatype_name(spec.datatype)) {
    return invalid(where + ".datatype", "is " + quoted(tensor.datatype) + ", but " + quoted(spec.name) + " takes " +
                                            std::string(datatype_name(spec.datatype)));
  }
  if (!request.raw.empty() && tensor.contents && !tensor.contents->empty()) {
    return invalid(where + ".contents", "must be empty when raw_input_contents is used");
  }
  return check_shape(where, tensor, spec, rows_max);
}

Error read_inputs(const RequestMessage& request, const ModelSignature& signature, InferRequest& parsed) {
  if (!request.raw.empty() && request.raw.size() != request.inputs.size()) {
    return invalid("raw_input_contents", "has " + std::to_string(request.raw.size()) + " entries for " +
                                             std::to_string(request.inputs.size()) + " inputs; give one for each");
  }
  std::vector<bool> seen(signature.inputs.size(), false);
  parsed.inputs.resize(signature.inputs.size());
  for (std::size_t i = 0; i < request.inputs.size(); ++i) {
    const auto spec = std::find_if(signature.inputs.begin(), signature.inputs.end(),
                                   [&](const TensorSpec& known) { return known.name == request.inputs[i].name; });
    const std::string field = entry("inputs", i) + ".name";
    if (spec == signature.inputs.end()) {
      return invalid(
          field, quoted(request.inputs[i].name) + " is no input of the model; it takes " + names_of(signature.inputs));
    }
    const auto slot = static_cast<std::size_t>(spec - signature.inputs.begin());
    if (seen[slot]) return invalid(field, quoted(spec->name) + " is given twice");
    seen[slot] = true;
    if (auto error = check_tensor(request, i, *spec, signature.rows_max)) return error;
    const auto rows = static_cast<int>(request.inputs[i].shape[0]);
    if (parsed.rows != 0 && parsed.rows != rows) {
      return invalid(entry("inputs", i) + ".shape",
                     "has " + std::to_string(rows) + " rows, but another input has " + std::to_string(parsed.rows));
    }
    parsed.rows = rows;
    auto raw = contents_of(request, i, spec->datatype);
    if (auto* error = std::get_if<RequestError>(&raw)) return std::move(*error);
    parsed.inputs[slot] = {request.inputs[i].shape, std::get<std::string>(std::move(raw))};
  }
  const auto missing = std::find(seen.begin(), seen.end(), false);
  if (missing == seen.end()) return std::nullopt;
  const auto& spec = signature.inputs[static_cast<std::size_t>(missing - seen.begin())];
  return invalid("inputs", quoted(spec.name) + " is missing; the model takes " + names_of(signature.inputs));
}

Error read_outputs(const RequestMessage& request, const ModelSignature& signature, InferRequest& parsed) {
  if (request.outputs.empty()) {
    for (std::size_t i = 0; i < signature.outputs.size(); ++i) parsed.outputs.push_back(static_cast<int>(i));
    return std::nullopt;
  }
  for (std::size_t i = 0; i < request.outputs.size(); ++i) {
    const auto spec = std::find_if(signature.outputs.begin(), signature.outputs.end(),
                                   [&](const TensorSpec& known) { return known.name == request.outputs[i]; });
    const std::string field = entry("outputs", i) + ".name";
    if (spec == signature.outputs.end()) {
      return invalid(
          field, quoted(request.outputs[i]) + " is no output of the model; it gives " + names_of(signature.outputs));
    }
    const auto index = static_cast<int>(spec - signature.outputs.begin());
    if (std::find(parsed.outputs.begin(), parsed.outputs.end(), index) != parsed.outputs.end()) {
      return invalid(field, quoted(spec->name) + " is asked for twice");
    }
    parsed.outputs.push_back(index);
  }
  return std::nullopt;
}

}  // namespace

std::variant<InferRequest, RequestError> parse_infer_request(std::string_view message,
                                                             const ModelSignature& signature) {
  RequestMessage request;
  InferRequest parsed;
  Error error = scan(message, request);
  if (!error) error = check_target(request, signature);
  if (!error) error = read_inputs(request, signature, parsed);
  if (!error) error = read_outputs(request, signature, parsed);
  if (error) return *std::move(error);
  parsed.id = request.id;
  return parsed;
}

std::string write_batch(const ModelSignature& signature, std::string_view batch_id,
                        const std::vector<const InferRequest*>& requests) {
  struct Joined {
    std::vector<std::int64_t> shape;
    std::size_t bytes = 0;
  };
  std::vector<Joined> joined(signature.inputs.size());
  std::size_t size = 64 + signature.name.size() + signature.version.size() + batch_id.size();
  for (std::size_t i = 0; i < joined.size(); ++i) {
    joined[i].shape = requests.front()->inputs[i].shape;
    joined[i].shape[0] = 0;
    for (const InferRequest* request : requests) {
      joined[i].shape[0] += request->rows;
      joined[i].bytes += request->inputs[i].raw.size();
    }
    const auto head = tensor_size(signature.inputs[i].name, signature.inputs[i].datatype, joined[i].shape);
    size += field_size(head) + field_size(joined[i].bytes);
  }
  std::string message;
  message.reserve(size);
  WireWriter writer(message);
  writer.text(kModelName, signature.name);
  writer.text(kModelVersion, signature.version);
  writer.text(kId, batch_id);
  for (std::size_t i = 0; i < joined.size(); ++i) {
    const TensorSpec& spec = signature.inputs[i];
    writer.begin(kInputs, tensor_size(spec.name, spec.datatype, joined[i].shape));
    write_tensor(writer, spec.name, spec.datatype, joined[i].shape);
  }
  for (std::size_t i = 0; i < joined.size(); ++i) {
    writer.begin(kRawInputContents, joined[i].bytes);
    for (const InferRequest* request : requests) message.append(request->inputs[i].raw);
  }
  return message;
}

}  // namespace mark::net
