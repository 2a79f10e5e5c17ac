// The protobuf wire format, read with bounds checks and written without message objects.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

namespace mark::net {

enum class WireType : std::uint8_t {
  kVarint = 0,
  kFixed64 = 1,
  kBytes = 2,
  kStartGroup = 3,
  kEndGroup = 4,
  kFixed32 = 5
};

struct Field {
  std::uint32_t number = 0;
  WireType type = WireType::kVarint;
  std::uint64_t value = 0;  // kVarint, kFixed64, kFixed32
  std::string_view bytes;   // kBytes
};

// Walks over the fields of one message. Never reads outside it; anything malformed ends the walk with ok() false.
class WireReader {
 public:
  explicit WireReader(std::string_view message) : rest_(message) {}

  // The next field; empty at the end or at the first malformed byte. Groups, which proto3 lacks, count as malformed.
  std::optional<Field> next();
  bool ok() const { return ok_; }
  std::string_view rest() const { return rest_; }

  std::optional<std::uint64_t> varint();
  std::optional<std::uint64_t> fixed(std::size_t bytes);

 private:
  std::optional<Field> malformed() {
    ok_ = false;
    return std::nullopt;
  }

  std::string_view rest_;
  bool ok_ = true;
};

// Appends fields to a message.
class WireWriter {
 public:
  explicit WireWriter(std::string& out) : out_(out) {}

  void varint(std::uint64_t value);
  // Writes nothing for an empty value, as proto3 does for a field at its default.
  void text(std::uint32_t field, std::string_view value) {
    if (!value.empty()) bytes(field, value);
  }
  // Always writes, even when empty: an element of a repeated field counts by being there.
  void bytes(std::uint32_t field, std::string_view value) {
    begin(field, value.size());
    out_.append(value);
  }
  // The head of a length-delimited field whose `size` bytes the caller appends.
  void begin(std::uint32_t field, std::size_t size) {
    varint((static_cast<std::uint64_t>(field) << 3) | static_cast<std::uint64_t>(WireType::kBytes));
    varint(size);
  }

 private:
  std::string& out_;
};

std::size_t varint_size(std::uint64_t value);
// Bytes of a length-delimited field with `size` bytes of content; field numbers below 16 take one byte of tag.
inline std::size_t field_size(std::size_t size) { return 1 + varint_size(size) + size; }

// Text that is safe to put into a message: printable ASCII, everything else as \xNN, cut at 64 characters.
std::string printable(std::string_view text);

}  // namespace mark::net
