#include "net/wire.h"

namespace mark::net {

namespace {

constexpr std::size_t kPrintableMax = 64;
constexpr char kHex[] = "0123456789abcdef";

}  // namespace

std::optional<std::uint64_t> WireReader::varint() {
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

std::optional<Field> WireReader::next() {
  if (!ok_ || rest_.empty()) return std::nullopt;
  const auto tag = varint();
  if (!tag || (*tag >> 3) == 0 || (*tag >> 3) > 0x1FFFFFFFU) return malformed();
  Field field{.number = static_cast<std::uint32_t>(*tag >> 3),
              .type = static_cast<WireType>(*tag & 7U),
              .value = 0,
              .bytes = {}};
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
      if (!value || *value > rest_.size()) return malformed();
      field.bytes = rest_.substr(0, static_cast<std::size_t>(*value));
      rest_.remove_prefix(field.bytes.size());
      return field;
    default:
      break;
  }
  if (!value) return malformed();
  field.value = *value;
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

}  // namespace mark::net
