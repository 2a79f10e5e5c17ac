#include "net/tensor_contents.h"

#include <limits>
#include <optional>

#include "net/wire.h"

namespace mark::net {

namespace {

constexpr std::uint32_t kBoolContents = 1;
constexpr std::uint32_t kIntContents = 2;
constexpr std::uint32_t kInt64Contents = 3;
constexpr std::uint32_t kUintContents = 4;
constexpr std::uint32_t kUint64Contents = 5;
constexpr std::uint32_t kFp32Contents = 6;
constexpr std::uint32_t kFp64Contents = 7;
constexpr std::uint32_t kBytesContents = 8;

// How the elements of one datatype arrive: in which field, in which wire type, and within which range.
struct Layout {
  std::uint32_t field = 0;  // 0: only raw
  WireType type = WireType::kVarint;
  std::int64_t min = 0;  // of the integers that are narrower than their field
  std::int64_t max = 0;
};

template <class Int>
Layout narrow(std::uint32_t field) {
  return {field, WireType::kVarint, std::numeric_limits<Int>::min(), std::numeric_limits<Int>::max()};
}

Layout layout_of(Datatype datatype) {
  switch (datatype) {
    case Datatype::kBool:
      return {kBoolContents, WireType::kVarint, 0, 0};
    case Datatype::kInt8:
      return narrow<std::int8_t>(kIntContents);
    case Datatype::kInt16:
      return narrow<std::int16_t>(kIntContents);
    case Datatype::kInt32:
      return {kIntContents, WireType::kVarint, 0, 0};
    case Datatype::kInt64:
      return {kInt64Contents, WireType::kVarint, 0, 0};
    case Datatype::kUint8:
      return narrow<std::uint8_t>(kUintContents);
    case Datatype::kUint16:
      return narrow<std::uint16_t>(kUintContents);
    case Datatype::kUint32:
      return {kUintContents, WireType::kVarint, 0, 0};
    case Datatype::kUint64:
      return {kUint64Contents, WireType::kVarint, 0, 0};
    case Datatype::kFp32:
      return {kFp32Contents, WireType::kFixed32, 0, 0};
    case Datatype::kFp64:
      return {kFp64Contents, WireType::kFixed64, 0, 0};
    case Datatype::kBytes:
      return {kBytesContents, WireType::kBytes, 0, 0};
    case Datatype::kFp16:
    case Datatype::kBf16:
      return {};
  }
  return {};
}

void append_little_endian(std::string& raw, std::uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i, value >>= 8U) raw.push_back(static_cast<char>(value & 0xFFU));
}

// Appends one element; an explanation when it is out of range.
std::optional<std::string> append_element(std::string& raw, std::uint64_t value, const Layout& layout,
                                          Datatype datatype) {
  if (datatype == Datatype::kBool) value = value != 0 ? 1 : 0;
  const auto number = static_cast<std::int64_t>(value);
  if (layout.min != layout.max && (number < layout.min || number > layout.max)) {
    return "holds " + std::to_string(number) + ", which is out of range for " + std::string(datatype_name(datatype));
  }
  append_little_endian(raw, value, datatype_bytes(datatype));
  return std::nullopt;
}

// Repeated numbers arrive packed into one field, or one field each; both are valid.
std::optional<std::string> append_numbers(std::string& raw, const Field& field, const Layout& layout,
                                          Datatype datatype) {
  if (field.type == layout.type) return append_element(raw, field.value, layout, datatype);
  if (field.type != WireType::kBytes) return "is encoded in a way that its field does not allow";
  WireReader packed(field.bytes);
  while (!packed.rest().empty()) {
    const auto value = layout.type == WireType::kVarint    ? packed.varint()
                       : layout.type == WireType::kFixed32 ? packed.fixed(4)
                                                           : packed.fixed(8);
    if (!value) return "ends in the middle of an element";
    if (auto fault = append_element(raw, *value, layout, datatype)) return fault;
  }
  return std::nullopt;
}

}  // namespace

std::variant<std::string, ContentsFault> raw_from_contents(std::string_view contents, Datatype datatype) {
  const Layout layout = layout_of(datatype);
  const std::string name(datatype_name(datatype));
  if (layout.field == 0) return ContentsFault{name + " travels only as raw contents"};
  std::string raw;
  WireReader reader(contents);
  while (const auto field = reader.next()) {
    if (field->number > kBytesContents) continue;
    if (field->number != layout.field) return ContentsFault{"holds elements of another datatype than " + name};
    if (datatype == Datatype::kBytes) {
      if (field->type != WireType::kBytes) return ContentsFault{"is encoded in a way that its field does not allow"};
      append_little_endian(raw, field->bytes.size(), 4);
      raw.append(field->bytes);
    } else if (auto fault = append_numbers(raw, *field, layout, datatype)) {
      return ContentsFault{*std::move(fault)};
    }
  }
  if (!reader.ok()) return ContentsFault{"is truncated or garbage"};
  return raw;
}

std::int64_t count_elements(std::string_view raw, Datatype datatype) {
  if (const int size = datatype_bytes(datatype); size > 0) {
    const auto bytes = static_cast<std::int64_t>(raw.size());
    return bytes % size == 0 ? bytes / size : -1;
  }
  std::int64_t count = 0;
  std::string_view rest = raw;
  while (!rest.empty()) {
    const auto length = WireReader(rest).fixed(4);
    if (!length || *length > rest.size() - 4) return -1;
    rest.remove_prefix(4 + static_cast<std::size_t>(*length));
    ++count;
  }
  return count;
}

}  // namespace mark::net
