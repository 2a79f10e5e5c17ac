#include "net/tensor_contents.h"

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <utility>

#include "net/oip_tensor.h"
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

// The wire type of one element, by its field of the contents.
WireType element_type(std::uint32_t field) {
  switch (field) {
    case kFp32Contents:
      return WireType::kFixed32;
    case kFp64Contents:
      return WireType::kFixed64;
    case kBytesContents:
      return WireType::kBytes;
    default:
      return WireType::kVarint;
  }
}

// Bytes that an element takes in a message; a varint or a bytes element takes this or more.
std::size_t wire_bytes(WireType type) { return type == WireType::kFixed64 ? 8 : type == WireType::kFixed32 ? 4 : 1; }

// How the elements of one datatype arrive: in which field, and within which range.
struct Layout {
  std::uint32_t field = 0;  // 0: only raw
  std::int64_t min = 0;     // of the integers that are narrower than their field
  std::int64_t max = 0;
};

template <class Int>
Layout narrow(std::uint32_t field) {
  return {field, std::numeric_limits<Int>::min(), std::numeric_limits<Int>::max()};
}

Layout layout_of(Datatype datatype) {
  switch (datatype) {
    case Datatype::kBool:
      return {kBoolContents};
    case Datatype::kInt8:
      return narrow<std::int8_t>(kIntContents);
    case Datatype::kInt16:
      return narrow<std::int16_t>(kIntContents);
    case Datatype::kInt32:
      return {kIntContents};
    case Datatype::kInt64:
      return {kInt64Contents};
    case Datatype::kUint8:
      return narrow<std::uint8_t>(kUintContents);
    case Datatype::kUint16:
      return narrow<std::uint16_t>(kUintContents);
    case Datatype::kUint32:
      return {kUintContents};
    case Datatype::kUint64:
      return {kUint64Contents};
    case Datatype::kFp32:
      return {kFp32Contents};
    case Datatype::kFp64:
      return {kFp64Contents};
    case Datatype::kBytes:
      return {kBytesContents};
    case Datatype::kFp16:
    case Datatype::kBf16:
      return {};
  }
  return {};
}

using Fault = std::optional<ContentsFault>;

// Turns a tensor's contents, one message after another, into raw form.
class ContentsReader {
 public:
  ContentsReader(Datatype datatype, std::int64_t elements)
      : datatype_(datatype),
        layout_(layout_of(datatype)),
        type_(element_type(layout_.field)),
        width_(static_cast<std::size_t>(datatype_bytes(datatype))),
        elements_(elements) {}

  // To be called first, with the size of the message that holds it all.
  Fault prepare(std::size_t message_bytes);
  Fault read(std::string_view contents);
  std::variant<std::string, ContentsFault> finish();

 private:
  Fault read_field(const Field& field);
  Fault append_packed(std::string_view packed);
  void append_bytes(std::string_view element);
  // False when out of range.
  bool append_number(std::uint64_t value);
  void append_little_endian(std::uint64_t value, std::size_t bytes);
  // Counts elements, before they take memory.
  Fault count(std::size_t elements);
  // The value of a field of 32 bits, whatever the wire has.
  std::int64_t narrowed(std::uint64_t value) const;
  ContentsFault out_of_range(std::uint64_t value) const;
  ContentsFault miscounted(const std::string& what) const {
    return {"has " + what + " elements than the " + std::to_string(elements_) + " of its shape"};
  }

  Datatype datatype_;
  Layout layout_;
  WireType type_;
  std::size_t width_;  // of an element in raw form; 0 for BYTES
  std::int64_t elements_;
  std::int64_t counted_ = 0;
  std::string raw_;
};

Fault ContentsReader::prepare(std::size_t message_bytes) {
  // Before anything is converted, for a number of one byte takes up to eight in raw form.
  if (elements_ > static_cast<std::int64_t>(message_bytes / wire_bytes(type_))) return miscounted("fewer");
  raw_.reserve(static_cast<std::size_t>(elements_) * width_);
  return std::nullopt;
}

std::variant<std::string, ContentsFault> ContentsReader::finish() {
  if (counted_ < elements_) return miscounted("fewer");
  return std::move(raw_);
}

Fault ContentsReader::read(std::string_view contents) {
  WireReader reader(contents, kFieldsMax + elements_);
  while (const auto field = reader.next()) {
    if (auto fault = read_field(*field)) return fault;
  }
  return reader.ok() ? std::nullopt : Fault{{reader.fault()}};
}

// Repeated numbers arrive packed into one field, or one field each; both are valid. Another type makes a field unknown.
Fault ContentsReader::read_field(const Field& field) {
  if (field.number > kBytesContents) return std::nullopt;
  const WireType type = element_type(field.number);
  const bool packed = field.type == WireType::kBytes && type != WireType::kBytes;
  if (packed ? field.bytes.empty() : field.type != type) return std::nullopt;
  if (field.number != layout_.field) {
    return ContentsFault{"holds elements of another datatype than " + std::string(datatype_name(datatype_))};
  }
  if (packed) return append_packed(field.bytes);
  if (auto fault = count(1)) return fault;
  if (type != WireType::kBytes) return append_number(field.value) ? std::nullopt : Fault{out_of_range(field.value)};
  append_bytes(field.bytes);
  return std::nullopt;
}

Fault ContentsReader::append_packed(std::string_view packed) {
  if (type_ != WireType::kVarint) {
    const std::size_t size = wire_bytes(type_);
    if (packed.size() % size != 0) return ContentsFault{"ends in the middle of an element"};
    auto fault = count(packed.size() / size);
    if (!fault) raw_.append(packed);  // the wire form of these is the raw form
    return fault;
  }
  // The last byte of a varint has its top bit clear.
  const auto ends =
      std::count_if(packed.begin(), packed.end(), [](char c) { return static_cast<std::uint8_t>(c) < 0x80U; });
  if (auto fault = count(static_cast<std::size_t>(ends))) return fault;
  WireReader reader(packed);
  while (!reader.rest().empty()) {
    const auto value = reader.varint();
    if (!value) return ContentsFault{"ends in the middle of an element"};
    if (!append_number(*value)) return out_of_range(*value);
  }
  return std::nullopt;
}

std::int64_t ContentsReader::narrowed(std::uint64_t value) const {
  const auto low = static_cast<std::uint32_t>(value);
  return layout_.field == kIntContents ? static_cast<std::int32_t>(low) : std::int64_t{low};
}

bool ContentsReader::append_number(std::uint64_t value) {
  if (datatype_ == Datatype::kBool) value = value != 0 ? 1 : 0;
  if (layout_.min != layout_.max && (narrowed(value) < layout_.min || narrowed(value) > layout_.max)) return false;
  append_little_endian(value, width_);
  return true;
}

ContentsFault ContentsReader::out_of_range(std::uint64_t value) const {
  return {"holds " + std::to_string(narrowed(value)) + ", which is out of range for " +
          std::string(datatype_name(datatype_))};
}

void ContentsReader::append_bytes(std::string_view element) {
  append_little_endian(element.size(), 4);
  raw_.append(element);
}

Fault ContentsReader::count(std::size_t elements) {
  if (elements > static_cast<std::size_t>(elements_ - counted_)) return miscounted("more");
  counted_ += static_cast<std::int64_t>(elements);
  return std::nullopt;
}

void ContentsReader::append_little_endian(std::uint64_t value, std::size_t bytes) {
  std::array<char, 8> little{};
  for (char& byte : little) {
    byte = static_cast<char>(value & 0xFFU);
    value >>= 8U;
  }
  raw_.append(little.data(), bytes);
}

}  // namespace

std::variant<std::string, ContentsFault> raw_from_contents(std::string_view tensor, Datatype datatype,
                                                           std::int64_t elements) {
  if (layout_of(datatype).field == 0 && elements > 0) {
    return ContentsFault{std::string(datatype_name(datatype)) + " travels only as raw contents"};
  }
  ContentsReader contents(datatype, elements);
  if (auto fault = contents.prepare(tensor.size())) return *std::move(fault);
  WireReader reader(tensor);
  while (const auto field = reader.next()) {
    if (field->number != kTensorContents || field->type != WireType::kBytes) continue;
    if (auto fault = contents.read(field->bytes)) return *std::move(fault);
  }
  return contents.finish();
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
