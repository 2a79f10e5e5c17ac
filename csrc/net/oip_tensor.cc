#include "net/oip_tensor.h"

#include <limits>
#include <utility>

namespace mark::net {

namespace {

constexpr std::uint32_t kName = 1;
constexpr std::uint32_t kDatatype = 2;
constexpr std::uint32_t kShape = 3;
constexpr std::uint32_t kParameters = 4;

constexpr std::uint32_t kBoolParameter = 1;
constexpr std::uint32_t kInt64Parameter = 2;
constexpr std::uint32_t kStringParameter = 3;
constexpr std::uint32_t kDoubleParameter = 4;

using Fault = std::optional<TensorFault>;

Fault append_dimension(std::vector<std::int64_t>& shape, std::optional<std::uint64_t> size) {
  if (!size) return TensorFault{".shape", kGarbage};
  // A byte of the message may be a dimension: counted now, not when all are in memory.
  if (shape.size() == kRankMax) {
    return TensorFault{".shape", "has more than " + std::to_string(kRankMax) + " dimensions"};
  }
  shape.push_back(static_cast<std::int64_t>(*size));
  return std::nullopt;
}

Fault append_shape(std::vector<std::int64_t>& shape, const Field& field) {
  if (field.type == WireType::kVarint) return append_dimension(shape, field.value);
  if (field.type != WireType::kBytes) return std::nullopt;
  WireReader packed(field.bytes);
  while (!packed.rest().empty()) {
    if (auto fault = append_dimension(shape, packed.varint())) return fault;
  }
  return std::nullopt;
}

Fault scan_part(const Field& field, TensorMessage& tensor) {
  if (field.number == kShape) return append_shape(tensor.shape, field);
  if (field.type != WireType::kBytes) return std::nullopt;
  switch (field.number) {
    case kName:
      if (!is_utf8(field.bytes)) return TensorFault{".name", kNoText};
      tensor.name = field.bytes;
      break;
    case kDatatype:
      if (!is_utf8(field.bytes)) return TensorFault{".datatype", kNoText};
      tensor.datatype = field.bytes;
      break;
    case kParameters: {
      const auto key = parameter_key(field.bytes);
      if (!key) return TensorFault{".parameters", kGarbage};
      tensor.shared_memory |= *key == kSharedMemory;
      break;
    }
    case kTensorContents:
      tensor.typed = true;
      break;
    default:
      break;
  }
  return std::nullopt;
}

// Reads a value into the parameter; false when it is malformed. Of several values the last counts, as in a oneof.
bool read_value(std::string_view message, Parameter& parameter) {
  WireReader reader(message);
  while (const auto field = reader.next()) {
    const bool text = field->number == kStringParameter && field->type == WireType::kBytes;
    if (text && !is_utf8(field->bytes)) return false;
    const bool whole =
        field->type == WireType::kVarint && (field->number == kInt64Parameter || field->number == kUint64Parameter);
    const bool other = text || (field->number == kBoolParameter && field->type == WireType::kVarint) ||
                       (field->number == kDoubleParameter && field->type == WireType::kFixed64);
    if (!whole && !other) continue;
    parameter.is_whole = whole;
    parameter.whole = field->value;
    parameter.is_negative = field->number == kInt64Parameter && (field->value >> 63U) != 0;
  }
  return reader.ok();
}

std::size_t shape_size(const std::vector<std::int64_t>& shape) {
  std::size_t size = 0;
  for (const std::int64_t dimension : shape) size += varint_size(static_cast<std::uint64_t>(dimension));
  return size;
}

}  // namespace

std::optional<Parameter> scan_parameter(std::string_view entry) {
  Parameter parameter;
  WireReader reader(entry);
  while (const auto field = reader.next()) {
    if (field->type != WireType::kBytes) continue;
    if (field->number == kParameterKey) {
      if (!is_utf8(field->bytes)) return std::nullopt;
      parameter.key = field->bytes;
    }
    if (field->number == kParameterValue && !read_value(field->bytes, parameter)) return std::nullopt;
  }
  return reader.ok() ? std::optional(parameter) : std::nullopt;
}

std::optional<std::string_view> parameter_key(std::string_view entry) {
  const auto parameter = scan_parameter(entry);
  return parameter ? std::optional(parameter->key) : std::nullopt;
}

std::variant<TensorMessage, TensorFault> scan_tensor(std::string_view message) {
  TensorMessage tensor;
  tensor.message = message;
  WireReader reader(message);
  while (const auto field = reader.next()) {
    if (auto fault = scan_part(*field, tensor)) return *std::move(fault);
  }
  if (!reader.ok()) return TensorFault{"", reader.fault()};
  return tensor;
}

std::string entry(std::string_view list, std::size_t index) {
  return std::string(list) + "[" + std::to_string(index) + "]";
}

std::int64_t elements_of(const std::vector<std::int64_t>& shape) {
  std::int64_t product = 1;
  bool empty = false;
  for (const std::int64_t size : shape) {
    if (size < 0) return -1;
    if (size == 0) {
      empty = true;
    } else if (product > std::numeric_limits<std::int64_t>::max() / size) {
      return -1;
    } else {
      product *= size;
    }
  }
  return empty ? 0 : product;
}

std::string shape_text(const std::vector<std::int64_t>& shape) {
  constexpr std::size_t kShownMax = 16;
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size() && i < kShownMax; ++i) {
    if (i > 0) text += ", ";
    text += std::to_string(shape[i]);
  }
  if (shape.size() > kShownMax) text += ", ...";
  return text + "]";
}

std::size_t tensor_size(std::string_view name, Datatype datatype, const std::vector<std::int64_t>& shape) {
  return field_size(name.size()) + field_size(datatype_name(datatype).size()) + field_size(shape_size(shape));
}

void write_tensor(WireWriter& writer, std::string_view name, Datatype datatype,
                  const std::vector<std::int64_t>& shape) {
  writer.bytes(kName, name);
  writer.bytes(kDatatype, datatype_name(datatype));
  writer.begin(kShape, shape_size(shape));
  for (const std::int64_t dimension : shape) writer.varint(static_cast<std::uint64_t>(dimension));
}

}  // namespace mark::net
