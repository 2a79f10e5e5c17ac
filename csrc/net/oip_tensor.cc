#include "net/oip_tensor.h"

#include <limits>

namespace mark::net {

namespace {

constexpr std::uint32_t kName = 1;
constexpr std::uint32_t kDatatype = 2;
constexpr std::uint32_t kShape = 3;
constexpr std::uint32_t kParameters = 4;
constexpr std::uint32_t kContents = 5;

bool append_shape(std::vector<std::int64_t>& shape, const Field& field) {
  if (field.type == WireType::kVarint) {
    shape.push_back(static_cast<std::int64_t>(field.value));
    return true;
  }
  if (field.type != WireType::kBytes) return false;
  WireReader packed(field.bytes);
  while (!packed.rest().empty()) {
    const auto size = packed.varint();
    if (!size) return false;
    shape.push_back(static_cast<std::int64_t>(*size));
  }
  return true;
}

std::size_t shape_size(const std::vector<std::int64_t>& shape) {
  std::size_t size = 0;
  for (const std::int64_t dimension : shape) size += varint_size(static_cast<std::uint64_t>(dimension));
  return size;
}

}  // namespace

bool parameter_is(std::string_view entry, std::string_view key) {
  WireReader reader(entry);
  bool is = false;
  while (const auto field = reader.next()) {
    if (field->number == 1) is = field->bytes == key;
  }
  return is;
}

std::optional<TensorMessage> scan_tensor(std::string_view message) {
  TensorMessage tensor;
  WireReader reader(message);
  while (const auto field = reader.next()) {
    if (field->number == kShape) {
      if (!append_shape(tensor.shape, *field)) return std::nullopt;
      continue;
    }
    if (field->number > kContents) continue;
    if (field->type != WireType::kBytes) return std::nullopt;
    if (field->number == kName) tensor.name = field->bytes;
    if (field->number == kDatatype) tensor.datatype = field->bytes;
    if (field->number == kContents) tensor.contents = field->bytes;
    if (field->number == kParameters) tensor.shared_memory |= parameter_is(field->bytes, "shared_memory_region");
  }
  if (!reader.ok()) return std::nullopt;
  return tensor;
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
