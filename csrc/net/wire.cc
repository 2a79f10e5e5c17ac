#include "net/wire.h"

#include <limits>

namespace mark::net {

namespace {

constexpr std::size_t kTagBytesMax = 5;
constexpr int kGroupsMax = 100;  // one in another, as protobuf has it
constexpr std::size_t kPrintableMax = 64;
constexpr char kHex[] = "0123456789abcdef";

// Bytes of the UTF-8 sequence at the beginning of `text`, which is not empty and not ASCII there; 0 when it is none.
std::size_t sequence_at(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint32_t>(static_cast<std::uint8_t>(text[i])); };
  const std::size_t size = byte(0) < 0xC0 ? 0 : byte(0) < 0xE0 ? 2 : byte(0) < 0xF0 ? 3 : byte(0) < 0xF8 ? 4 : 0;
  if (size == 0 || size > text.size()) return 0;
  std::uint32_t point = byte(0) & (0x7FU >> size);
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xC0U) != 0x80U) return 0;
    point = (point << 6U) | (byte(i) & 0x3FU);
  }
  const std::uint32_t smallest = size == 2 ? 0x80U : size == 3 ? 0x800U : 0x10000U;
  const bool surrogate = point >= 0xD800U && point < 0xE000U;
  return point >= smallest && point <= 0x10FFFFU && !surrogate ? size : 0;
}

}  // namespace

std::optional<std::uint64_t> WireReader::long_varint() {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    if (rest_.empty()) break;
    const auto byte = static_cast<std::uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    value |= static_cast<std::uint64_t>(byte & 0x7FU) << shift;
    if ((byte & 0x80U) == 0) return value;
  }
  ok_ = false;
  return std::nullopt;
}

std::optional<std::uint64_t> WireReader::fixed(std::size_t bytes) {
  if (rest_.size() < bytes) {
    ok_ = false;
    return std::nullopt;
  }
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < bytes; ++i) {
    value |= static_cast<std::uint64_t>(static_cast<std::uint8_t>(rest_[i])) << (8 * i);
  }
  rest_.remove_prefix(bytes);
  return value;
}

std::string WireReader::fault() const { return fields_left_ < 0 ? "has too many fields" : kGarbage; }

bool WireReader::read_tag(Field& field) {
  if (--fields_left_ < 0) return false;
  const std::size_t before = rest_.size();
  const auto tag = varint();
  // 32 bits, in 5 bytes at most; the upper 29 are the number, which is never 0.
  if (!tag || before - rest_.size() > kTagBytesMax || *tag > std::numeric_limits<std::uint32_t>::max()) return false;
  field.number = static_cast<std::uint32_t>(*tag >> 3U);
  field.type = static_cast<WireType>(*tag & 7U);
  return field.number != 0;
}

bool WireReader::read_value(Field& field) {
  std::optional<std::uint64_t> value;
  switch (field.type) {
    case WireType::kVarint:
      value = varint();
      break;
    case WireType::kFixed64:
      value = fixed(8);
      break;
    case WireType::kFixed32:
      value = fixed(4);
      break;
    case WireType::kBytes:
      value = varint();
      if (!value || *value > rest_.size()) return false;
      field.bytes = rest_.substr(0, static_cast<std::size_t>(*value));
      rest_.remove_prefix(field.bytes.size());
      return true;
    case WireType::kStartGroup:
      return skip_group(field.number);
    default:
      return false;
  }
  field.value = value.value_or(0);
  return value.has_value();
}

bool WireReader::skip_group(std::uint32_t number) {
  if (groups_ == kGroupsMax) return false;
  ++groups_;
  while (!rest_.empty()) {
    Field field;
    if (!read_tag(field)) return false;
    if (field.type == WireType::kEndGroup) {
      --groups_;
      return field.number == number;
    }
    if (!read_value(field)) return false;
  }
  return false;
}

std::optional<Field> WireReader::next() {
  std::optional<Field> field;
  if (!ok_ || rest_.empty()) return field;
  field.emplace();
  ok_ = read_tag(*field) && read_value(*field);
  if (!ok_) field.reset();
  return field;
}

void WireWriter::varint(std::uint64_t value) {
  while (value >= 0x80U) {
    out_.push_back(static_cast<char>((value & 0x7FU) | 0x80U));
    value >>= 7;
  }
  out_.push_back(static_cast<char>(value));
}

std::size_t varint_size(std::uint64_t value) {
  std::size_t size = 1;
  while (value >= 0x80U) {
    value >>= 7;
    ++size;
  }
  return size;
}

bool is_utf8(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size()) {
    if (static_cast<std::uint8_t>(text[at]) < 0x80U) {
      ++at;
      continue;
    }
    const std::size_t size = sequence_at(text.substr(at));
    if (size == 0) return false;
    at += size;
  }
  return true;
}

std::string printable(std::string_view text) {
  std::string safe;
  for (const char c : text.substr(0, kPrintableMax)) {
    const auto byte = static_cast<std::uint8_t>(c);
    if (byte >= 0x20 && byte < 0x7F) {
      safe.push_back(c);
    } else {
      safe += "\\x";
      safe.push_back(kHex[byte >> 4U]);
      safe.push_back(kHex[byte & 0xFU]);
    }
  }
  if (text.size() > kPrintableMax) safe += "...";
  return safe;
}

std::string quoted(std::string_view text) {
  std::string between = "'";
  between += printable(text);
  between += '\'';
  return between;
}

}  // namespace mark::net
