#include "net/oip_request_message.h"

#include <algorithm>
#include <utility>

#include "net/wire.h"

namespace mark::net {

namespace {

constexpr std::uint32_t kModelName = 1;
constexpr std::uint32_t kModelVersion = 2;
constexpr std::uint32_t kId = 3;
constexpr std::uint32_t kParameters = 4;
constexpr std::uint32_t kInputs = 5;
constexpr std::uint32_t kOutputs = 6;
constexpr std::uint32_t kRawInputContents = 7;
constexpr std::uint32_t kOutputName = 1;
constexpr std::uint32_t kOutputParameters = 2;

using Error = std::optional<RequestError>;

RequestError malformed(const std::string& explanation) {
  return {RequestFault::kMalformed, "ModelInferRequest",
          "the message is not a valid ModelInferRequest: " + explanation};
}

Error read_text(std::string_view bytes, const char* field, std::string_view& text) {
  if (!is_utf8(bytes)) return invalid(field, kNoText);
  text = bytes;
  return std::nullopt;
}

// Where the specs have this name; their number when they do not have it.
std::size_t place_of(std::string_view name, const std::vector<TensorSpec>& specs) {
  const auto named = [&](const TensorSpec& spec) { return spec.name == name; };
  return static_cast<std::size_t>(std::find_if(specs.begin(), specs.end(), named) - specs.begin());
}

Error scan_input(std::string_view message, const ModelSignature& signature, RequestMessage& request) {
  const auto where = [&] { return entry("inputs", request.inputs.size()); };
  auto scanned = scan_tensor(message);
  if (const auto* fault = std::get_if<TensorFault>(&scanned)) {
    return fault->part.empty() ? malformed(where() + " " + fault->explanation)
                               : invalid(where() + fault->part, fault->explanation);
  }
  auto& tensor = std::get<TensorMessage>(scanned);
  const std::size_t place = place_of(tensor.name, signature.inputs);
  if (place == signature.inputs.size()) {
    return invalid(where() + ".name",
                   quoted(tensor.name) + " is no input of the model; it takes " + names_of(signature.inputs));
  }
  const auto is_same = [&](const RequestMessage::Input& other) { return other.place == place; };
  if (std::any_of(request.inputs.begin(), request.inputs.end(), is_same)) {
    return invalid(where() + ".name", quoted(tensor.name) + " is given twice");
  }
  request.inputs.push_back({std::move(tensor), place});
  return std::nullopt;
}

Error scan_output(std::string_view message, const ModelSignature& signature, RequestMessage& request) {
  const auto where = [&] { return entry("outputs", request.outputs.size()); };
  std::string_view name;
  WireReader reader(message);
  while (const auto field = reader.next()) {
    if (field->type != WireType::kBytes) continue;
    if (field->number == kOutputName) {
      if (!is_utf8(field->bytes)) return invalid(where() + ".name", kNoText);
      name = field->bytes;
    }
    if (field->number == kOutputParameters) {
      const auto key = parameter_key(field->bytes);
      if (!key) return invalid(where() + ".parameters", kGarbage);
      if (*key != kSharedMemory) continue;
      return invalid(where() + ".parameters", "shared memory is not supported; take the output from the response");
    }
  }
  if (!reader.ok()) return malformed(where() + " " + reader.fault());
  const std::size_t place = place_of(name, signature.outputs);
  if (place == signature.outputs.size()) {
    return invalid(where() + ".name",
                   quoted(name) + " is no output of the model; it gives " + names_of(signature.outputs));
  }
  const auto output = static_cast<int>(place);
  if (std::find(request.outputs.begin(), request.outputs.end(), output) != request.outputs.end()) {
    return invalid(where() + ".name", quoted(name) + " is asked for twice");
  }
  request.outputs.push_back(output);
  return std::nullopt;
}

Error read_parameter(std::string_view entry, RequestMessage& request) {
  const auto parameter = scan_parameter(entry);
  if (!parameter) return invalid("parameters", kGarbage);
  if (parameter->key == kPriority) request.priority = parameter;
  return std::nullopt;
}

// A field of another type than its number has is unknown, as it is to protobuf.
Error scan_field(const Field& field, const ModelSignature& signature, RequestMessage& request) {
  if (field.type != WireType::kBytes) return std::nullopt;
  switch (field.number) {
    case kModelName:
      return read_text(field.bytes, "model_name", request.model_name);
    case kModelVersion:
      return read_text(field.bytes, "model_version", request.model_version);
    case kId:
      return read_text(field.bytes, "id", request.id);
    case kParameters:
      return read_parameter(field.bytes, request);
    case kInputs:
      return scan_input(field.bytes, signature, request);
    case kOutputs:
      return scan_output(field.bytes, signature, request);
    case kRawInputContents:
      if (request.raw.size() == signature.inputs.size()) {
        return invalid("raw_input_contents", "has more entries than the model has inputs; give one for each input");
      }
      request.raw.push_back(field.bytes);
      break;
    default:
      break;
  }
  return std::nullopt;
}

}  // namespace

RequestError invalid(const std::string& field, const std::string& explanation) {
  return {RequestFault::kInvalid, field, field + ": " + explanation};
}

std::string names_of(const std::vector<TensorSpec>& specs) {
  std::string names;
  for (const TensorSpec& spec : specs) names += (names.empty() ? "" : ", ") + quoted(spec.name);
  return names;
}

std::optional<RequestError> scan_request(std::string_view message, const ModelSignature& signature,
                                         RequestMessage& request) {
  request.inputs.reserve(signature.inputs.size());
  WireReader reader(message);
  while (const auto field = reader.next()) {
    if (auto error = scan_field(*field, signature, request)) return error;
  }
  return reader.ok() ? std::nullopt : Error{malformed("it " + reader.fault())};
}

std::variant<Target, RequestError> scan_target(std::string_view message) {
  Target target;
  WireReader reader(message);
  while (const auto field = reader.next()) {
    if (field->number > kModelVersion || field->type != WireType::kBytes) continue;
    const bool is_name = field->number == kModelName;
    if (!is_utf8(field->bytes)) return invalid(is_name ? "model_name" : "model_version", kNoText);
    (is_name ? target.model_name : target.model_version) = field->bytes;
  }
  if (!reader.ok()) return malformed("it " + reader.fault());
  return target;
}

}  // namespace mark::net
