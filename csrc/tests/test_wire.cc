#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "net/wire.h"

namespace mark::net {
namespace {

using namespace std::string_view_literals;

// Numbers of the fields; empty when the message is malformed.
std::vector<std::uint32_t> fields_of(std::string_view message) {
  std::vector<std::uint32_t> numbers;
  WireReader reader(message);
  while (const auto field = reader.next()) numbers.push_back(field->number);
  return reader.ok() ? numbers : std::vector<std::uint32_t>{};
}

std::string nested_groups(int depth) {
  const auto count = static_cast<std::size_t>(depth);
  return std::string(count, '\x7b') + std::string(count, '\x7c');
}

using Numbers = std::vector<std::uint32_t>;

TEST_CASE("a group is passed over, whatever is inside") {
  CHECK(fields_of("\x7b\x7c\x78\x01"sv) == Numbers{15, 15});
  CHECK(fields_of("\x7b\x08\x01\x13\x14\x0a\x02\x7c\x7c\x7c\x10\x01"sv) == Numbers{15, 2});
}

TEST_CASE("a group that does not end, ends another, or ends without a beginning is malformed") {
  CHECK(fields_of("\x7b"sv).empty());
  CHECK(fields_of("\x7b\x08\x01"sv).empty());
  CHECK(fields_of("\x7b\x74"sv).empty());
  CHECK(fields_of("\x7c"sv).empty());
}

TEST_CASE("groups lie in one another to a hundred, so that no message fills the stack") {
  CHECK(fields_of(nested_groups(100)) == Numbers{15});
  CHECK(fields_of(nested_groups(101)).empty());
  CHECK(fields_of(nested_groups(1'000'000)).empty());
}

TEST_CASE("a tag has five bytes and 32 bits at most") {
  CHECK(fields_of("\x8a\x80\x80\x80\x00\x01m"sv) == Numbers{1});
  CHECK(fields_of("\xfa\xff\xff\xff\x0f\x00"sv) == Numbers{0x1FFFFFFF});
  CHECK(fields_of("\x8a\x80\x80\x80\x80\x00\x01m"sv).empty());
  CHECK(fields_of("\xfa\xff\xff\xff\x1f\x00"sv).empty());
  CHECK(fields_of("\x02\x00"sv).empty());
  CHECK(fields_of("\x7e\x00"sv).empty());
}

TEST_CASE("a varint has ten bytes at most") {
  CHECK(fields_of("\x78\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"sv) == Numbers{15});
  CHECK(fields_of("\x78\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"sv).empty());
}

TEST_CASE("UTF-8 is what Unicode says") {
  for (const std::string_view text :
       {""sv, "a\0b"sv, "\x7f"sv, "\xc2\x80"sv, "\xdf\xbf"sv, "\xe0\xa0\x80"sv, "\xed\x9f\xbf"sv, "\xee\x80\x80"sv,
        "\xef\xbf\xbf"sv, "\xf0\x90\x80\x80"sv, "\xf4\x8f\xbf\xbf"sv, "image \xc3\xa9 \xe2\x82\xac"sv}) {
    CHECK_MESSAGE(is_utf8(text), printable(text));
  }
}

TEST_CASE("overlong forms, surrogates, halves and what lies beyond Unicode are not UTF-8") {
  for (const std::string_view text : {"\x80"sv,
                                      "\xbf"sv,
                                      "\xc0\x80"sv,
                                      "\xc1\xbf"sv,
                                      "\xc2"sv,
                                      "\xc2\x00"sv,
                                      "\xc2\xc0"sv,
                                      "\xe0\x80\x80"sv,
                                      "\xe0\x9f\xbf"sv,
                                      "\xe2\x82"sv,
                                      "\xe2\x28\xa1"sv,
                                      "\xed\xa0\x80"sv,
                                      "\xed\xbf\xbf"sv,
                                      "\xf0\x8f\xbf\xbf"sv,
                                      "\xf0\x90\x80"sv,
                                      "\xf4\x90\x80\x80"sv,
                                      "\xf5\x80\x80\x80"sv,
                                      "\xf8\x88\x80\x80\x80"sv,
                                      "\xff"sv,
                                      "text \xfe"sv}) {
    CHECK_FALSE_MESSAGE(is_utf8(text), printable(text));
  }
}

}  // namespace
}  // namespace mark::net
