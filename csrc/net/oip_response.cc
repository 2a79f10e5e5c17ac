// ModelInferResponse: read from a worker, cut into one response per request.
#include <algorithm>
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
constexpr std::uint32_t kParameters = 4;
constexpr std::uint32_t kTensors = 5;         // outputs of a response, inputs of a request
constexpr std::uint32_t kRequestOutputs = 6;  // of a request
constexpr std::uint32_t kRawOutputContents = 6;
constexpr std::uint32_t kRawInputContents = 7;
constexpr std::uint32_t kRequestedName = 1;

constexpr char kWhose[] = "the worker's response: ";  // before what is wrong with it

// Views into the message, tensors paired with their contents later.
struct ResponseMessage {
  MessageHead head;
  std::vector<TensorMessage> outputs;
  std::vector<std::string_view> raw;
};

using Error = std::optional<std::string>;

Error read_text(std::string_view bytes, const char* field, std::string_view& text) {
  if (!is_utf8(bytes)) return std::string(field) + ": " + kNoText;
  text = bytes;
  return std::nullopt;
}

Error scan_output(std::string_view message, ResponseMessage& response) {
  if (response.outputs.size() == kOutputsMax) return "has more than " + std::to_string(kOutputsMax) + " outputs";
  auto scanned = scan_tensor(message);
  if (const auto* fault = std::get_if<TensorFault>(&scanned)) {
    const std::string where = entry("outputs", response.outputs.size()) + fault->part;
    return where + (fault->part.empty() ? " " : ": ") + fault->explanation;
  }
  response.outputs.push_back(std::get<TensorMessage>(std::move(scanned)));
  return std::nullopt;
}

// A field of another type than its number has is unknown, as it is to protobuf.
Error scan_field(const Field& field, ResponseMessage& response) {
  if (field.type != WireType::kBytes) return std::nullopt;
  switch (field.number) {
    case kModelName:
      return read_text(field.bytes, "model_name", response.head.model_name);
    case kModelVersion:
      return read_text(field.bytes, "model_version", response.head.model_version);
    case kId:
      return read_text(field.bytes, "id", response.head.id);
    case kParameters:
      return parameter_key(field.bytes) ? std::nullopt : Error{std::string("parameters: ") + kGarbage};
    case kTensors:
      return scan_output(field.bytes, response);
    case kRawOutputContents:
      if (response.raw.size() == kOutputsMax) return "has more than " + std::to_string(kOutputsMax) + " raw contents";
      response.raw.push_back(field.bytes);
      break;
    default:
      break;
  }
  return std::nullopt;
}

Error scan(std::string_view message, ResponseMessage& response) {
  WireReader reader(message);
  while (const auto field = reader.next()) {
    if (auto error = scan_field(*field, response)) return error;
  }
  if (!reader.ok()) return "the response " + reader.fault();
  if (!response.raw.empty() && response.raw.size() != response.outputs.size()) {
    return "raw_output_contents has " + std::to_string(response.raw.size()) + " entries for " +
           std::to_string(response.outputs.size()) + " outputs";
  }
  const auto& outputs = response.outputs;
  for (auto output = outputs.begin(); output != outputs.end(); ++output) {
    if (std::any_of(outputs.begin(), output, [&](const TensorMessage& other) { return other.name == output->name; })) {
      return "output " + quoted(output->name) + " is given twice";
    }
  }
  return std::nullopt;
}

// One output with its contents in raw form; `typed` holds them when they had to be converted.
struct Output {
  TensorView tensor;
  std::string typed;
};

std::variant<Output, std::string> read_output(const ResponseMessage& response, std::size_t index) {
  const TensorMessage& tensor = response.outputs[index];
  const auto where = [&] { return entry("outputs", index); };
  const auto datatype = datatype_of(tensor.datatype);
  if (!datatype) return where() + ".datatype: unknown datatype " + quoted(tensor.datatype);
  const std::int64_t elements = elements_of(tensor.shape);
  if (elements < 0) return where() + ".shape: is " + shape_text(tensor.shape) + ", which no tensor has";
  const bool is_raw = !response.raw.empty();
  Output output{{tensor.name, *datatype, tensor.shape, {}}, {}};
  if (tensor.typed || !is_raw) {
    auto typed = raw_from_contents(tensor.message, *datatype, is_raw ? 0 : elements);
    if (const auto* fault = std::get_if<ContentsFault>(&typed)) return where() + ".contents: " + fault->message;
    output.typed = std::get<std::string>(std::move(typed));
  }
  if (!is_raw) return output;
  output.tensor.raw = response.raw[index];
  if (count_elements(output.tensor.raw, *datatype) == elements) return output;
  return where() + ": its raw contents do not fit " + std::string(tensor.datatype) + " of shape " +
         shape_text(tensor.shape);
}

// Where each request's part of one output ends.
std::vector<std::size_t> row_ends(std::string_view raw, Datatype datatype, std::int64_t elements_per_row,
                                  const std::vector<const InferRequest*>& requests) {
  std::vector<std::size_t> ends;
  ends.reserve(requests.size());
  std::size_t end = 0;
  for (const InferRequest* request : requests) {
    const std::int64_t elements = elements_per_row * request->rows;
    if (datatype != Datatype::kBytes) {
      end += static_cast<std::size_t>(elements * datatype_bytes(datatype));
    } else {
      for (std::int64_t i = 0; i < elements; ++i) {
        end += 4 + static_cast<std::size_t>(WireReader(raw.substr(end)).fixed(4).value_or(0));
      }
    }
    ends.push_back(end);
  }
  return ends;
}

// A parameters entry: the key and, as uint64_param, the value.
void write_priority(WireWriter& writer, std::uint64_t priority) {
  const std::size_t value = 1 + varint_size(priority);
  writer.begin(kParameters, field_size(kPriority.size()) + field_size(value));
  writer.bytes(kParameterKey, kPriority);
  writer.begin(kParameterValue, value);
  writer.varint((std::uint64_t{kUint64Parameter} << 3U) | static_cast<std::uint64_t>(WireType::kVarint));
  writer.varint(priority);
}

void write_message(std::string& message, const MessageHead& head, const std::vector<TensorView>& tensors,
                   const std::vector<std::string_view>& requested, std::uint32_t raw_field) {
  std::size_t size = 64 + head.model_name.size() + head.model_version.size() + head.id.size();
  for (const TensorView& tensor : tensors) {
    size += field_size(tensor_size(tensor.name, tensor.datatype, tensor.shape)) + field_size(tensor.raw.size());
  }
  for (const std::string_view name : requested) size += field_size(field_size(name.size()));
  message.reserve(size);
  WireWriter writer(message);
  writer.text(kModelName, head.model_name);
  writer.text(kModelVersion, head.model_version);
  writer.text(kId, head.id);
  if (head.priority > 0) write_priority(writer, head.priority);
  for (const TensorView& tensor : tensors) {
    writer.begin(kTensors, tensor_size(tensor.name, tensor.datatype, tensor.shape));
    write_tensor(writer, tensor.name, tensor.datatype, tensor.shape);
  }
  for (const std::string_view name : requested) {
    writer.begin(kRequestOutputs, field_size(name.size()));
    writer.bytes(kRequestedName, name);
  }
  for (const TensorView& tensor : tensors) writer.bytes(raw_field, tensor.raw);
}

// What is wrong with an output of a batch of so many rows.
std::optional<std::string> check_output(const TensorView& tensor, const TensorSpec& spec, std::int64_t rows) {
  const std::string_view is = datatype_name(tensor.datatype);
  if (tensor.datatype != spec.datatype) {
    return "is " + std::string(is) + ", not " + std::string(datatype_name(spec.datatype));
  }
  const auto fits = [](std::int64_t size, std::int64_t wanted) { return wanted == -1 || size == wanted; };
  if (!std::equal(tensor.shape.begin(), tensor.shape.end(), spec.shape.begin(), spec.shape.end(), fits)) {
    return "has shape " + shape_text(tensor.shape) + ", not " + shape_text(spec.shape);
  }
  if (tensor.shape[0] != rows) {
    return "has shape " + shape_text(tensor.shape) + " for a batch of " + std::to_string(rows) + " rows";
  }
  return std::nullopt;
}

// What the requests of a batch expect of its outputs.
struct Batch {
  const ModelSignature& signature;
  const std::vector<const InferRequest*>& requests;
  std::int64_t rows = 0;  // of the outputs

  Batch(const ModelSignature& its_signature, const std::vector<const InferRequest*>& its_requests, int size)
      : signature(its_signature), requests(its_requests) {
    for (const InferRequest* request : requests) rows += request->rows;
    rows = std::max<std::int64_t>(rows, size);
  }
};

// The batch's outputs in the order of the signature; an explanation when one is missing or differs from it.
std::variant<std::vector<Output>, std::string> read_outputs(const ResponseMessage& response, const Batch& batch) {
  std::vector<Output> outputs;
  outputs.reserve(batch.signature.outputs.size());
  for (const TensorSpec& spec : batch.signature.outputs) {
    const auto found = std::find_if(response.outputs.begin(), response.outputs.end(),
                                    [&](const TensorMessage& tensor) { return tensor.name == spec.name; });
    if (found == response.outputs.end()) return "lacks output " + quoted(spec.name);
    auto output = read_output(response, static_cast<std::size_t>(found - response.outputs.begin()));
    if (auto* error = std::get_if<std::string>(&output)) return std::move(*error);
    outputs.push_back(std::get<Output>(std::move(output)));
    if (const auto error = check_output(outputs.back().tensor, spec, batch.rows)) {
      return "output " + quoted(spec.name) + " " + *error;
    }
  }
  return outputs;
}

// One response for each request out of the batch's outputs, which are in the order of the signature and fit it.
std::vector<std::string> cut(const std::vector<TensorView>& outputs, const Batch& batch) {
  const auto& requests = batch.requests;
  std::vector<std::vector<std::size_t>> ends;
  ends.reserve(outputs.size());
  for (const TensorView& output : outputs) {
    ends.push_back(row_ends(output.raw, output.datatype, elements_of(output.shape) / batch.rows, requests));
  }
  std::vector<std::string> responses(requests.size());
  std::vector<TensorView> tensors;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    tensors.clear();
    tensors.reserve(requests[i]->outputs.size());
    for (const int index : requests[i]->outputs) {
      const auto slot = static_cast<std::size_t>(index);
      const std::size_t begin = i == 0 ? 0 : ends[slot][i - 1];
      tensors.push_back(outputs[slot]);
      tensors.back().shape[0] = requests[i]->rows;
      tensors.back().raw = outputs[slot].raw.substr(begin, ends[slot][i] - begin);
    }
    const MessageHead head{batch.signature.name, batch.signature.version, requests[i]->id};
    write_message(responses[i], head, tensors, {}, kRawOutputContents);
  }
  return responses;
}

}  // namespace

std::variant<std::vector<std::string>, std::string> split_response(std::string_view response,
                                                                   const ModelSignature& signature,
                                                                   const std::vector<const InferRequest*>& requests,
                                                                   int size) {
  ResponseMessage message;
  if (auto error = scan(response, message)) return kWhose + *error;
  const std::string_view model = message.head.model_name;
  if (!model.empty() && model != signature.name) {
    return kWhose + ("is of model " + quoted(model)) + ", not " + quoted(signature.name);
  }
  const Batch batch(signature, requests, size);
  const auto read = read_outputs(message, batch);
  if (const auto* error = std::get_if<std::string>(&read)) return kWhose + *error;
  const auto& outputs = std::get<std::vector<Output>>(read);
  std::vector<TensorView> views;
  views.reserve(outputs.size());
  for (const Output& output : outputs) {
    views.push_back(output.tensor);
    if (message.raw.empty()) views.back().raw = output.typed;
  }
  return cut(views, batch);
}

std::variant<std::vector<std::string>, std::string> split_outputs(const std::vector<TensorView>& outputs,
                                                                  const ModelSignature& signature,
                                                                  const std::vector<const InferRequest*>& requests,
                                                                  int size) {
  const Batch batch(signature, requests, size);
  std::vector<TensorView> ordered;
  ordered.reserve(signature.outputs.size());
  for (const TensorSpec& spec : signature.outputs) {
    const auto found = std::find_if(outputs.begin(), outputs.end(),
                                    [&](const TensorView& output) { return output.name == spec.name; });
    if (found == outputs.end()) return "the model gave no output " + quoted(spec.name);
    if (const auto error = check_output(*found, spec, batch.rows)) return "output " + quoted(spec.name) + " " + *error;
    if (count_elements(found->raw, found->datatype) != elements_of(found->shape)) {
      return "output " + quoted(spec.name) + " does not fit its shape " + shape_text(found->shape);
    }
    ordered.push_back(*found);
  }
  return cut(ordered, batch);
}

std::string write_infer_request(const MessageHead& head, const std::vector<TensorView>& inputs,
                                const std::vector<std::string_view>& outputs) {
  std::string message;
  write_message(message, head, inputs, outputs, kRawInputContents);
  return message;
}

std::string write_infer_response(const MessageHead& head, const std::vector<TensorView>& outputs) {
  std::string message;
  write_message(message, head, outputs, {}, kRawOutputContents);
  return message;
}

std::variant<InferResponse, std::string> parse_infer_response(std::string_view message) {
  ResponseMessage response;
  if (auto error = scan(message, response)) return *std::move(error);
  InferResponse parsed{std::string(response.head.model_name),
                       std::string(response.head.model_version),
                       std::string(response.head.id),
                       {}};
  for (std::size_t i = 0; i < response.outputs.size(); ++i) {
    auto read = read_output(response, i);
    if (auto* error = std::get_if<std::string>(&read)) return std::move(*error);
    auto& output = std::get<Output>(read);
    std::string raw = response.raw.empty() ? std::move(output.typed) : std::string(output.tensor.raw);
    parsed.outputs.push_back(
        {std::string(output.tensor.name), output.tensor.datatype, output.tensor.shape, std::move(raw)});
  }
  return parsed;
}

}  // namespace mark::net
