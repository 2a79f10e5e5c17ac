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

inline constexpr char kGarbage[] = "is truncated or garbage";

// Fields of one message, those included that nobody knows. More would only take time.
inline constexpr std::int64_t kFieldsMax = 65536;

// Walks over the fields of one message. Never reads outside it; anything malformed, or a field too many, ends the walk
// with ok() false.
class WireReader {
 public:
  explicit WireReader(std::string_view message, std::int64_t fields_max = kFieldsMax)
      : rest_(message), fields_left_(fields_max) {}

  // The next field; empty at the end or at the first malformed byte. A group, which proto3 lacks, is passed over and
  // comes as a field of type kStartGroup without a value: unknown, like any field of another type than its number has.
  std::optional<Field> next();
  bool ok() const { return ok_; }
  // Why ok() is false, to stand behind the name of the message.
  std::string fault() const;
  std::string_view rest() const { return rest_; }

  std::optional<std::uint64_t> varint() {
    if (rest_.empty() || static_cast<std::uint8_t>(rest_.front()) >= 0x80U) return long_varint();
    const auto value = static_cast<std::uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    return value;
  }
  std::optional<std::uint64_t> fixed(std::size_t bytes);

 private:
  std::optional<std::uint64_t> long_varint();
  // False when malformed.
  bool read_tag(Field& field);
  bool read_value(Field& field);
  bool skip_group(std::uint32_t number);

  std::string_view rest_;
  std::int64_t fields_left_;
  int groups_ = 0;  // open, while one is skipped
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

// Whether protobuf would take it for a string: no overlong forms, no surrogates, nothing beyond U+10FFFF.
bool is_utf8(std::string_view text);

// Text that is safe to put into a message: printable ASCII, everything else as \xNN, cut at 64 characters.
std::string printable(std::string_view text);
std::string quoted(std::string_view text);  // printable, between ' and '

}  // namespace mark::net
