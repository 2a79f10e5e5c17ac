#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <limits>
#include <string_view>

#include "net/rpc/nghttp2_memory.h"

namespace mark::net {
namespace {

TEST_CASE("nghttp2's memory is as that of the C library") {
  BlockCache cache;
  const nghttp2_mem memory = nghttp2_memory(cache);
  auto* const text = static_cast<char*>(memory.realloc(nullptr, 4, memory.mem_user_data));
  std::copy_n("text", 4, text);

  SUBCASE("what grows and shrinks keeps its beginning") {
    auto* const larger = static_cast<char*>(memory.realloc(text, 4000, memory.mem_user_data));
    CHECK(std::string_view(larger, 4) == "text");
    auto* const smaller = static_cast<char*>(memory.realloc(larger, 2, memory.mem_user_data));
    CHECK(std::string_view(smaller, 2) == "te");
    memory.free(smaller, memory.mem_user_data);
  }
  SUBCASE("blocks that were used before are zeros when zeros are asked for") {
    memory.free(text, memory.mem_user_data);
    auto* const zeros = static_cast<char*>(memory.calloc(2, 2, memory.mem_user_data));
    CHECK(std::all_of(zeros, zeros + 4, [](char byte) { return byte == 0; }));
    memory.free(zeros, memory.mem_user_data);
  }
  SUBCASE("what no machine has is refused, and what was there stays") {
    constexpr std::size_t kMost = std::numeric_limits<std::size_t>::max();
    CHECK(memory.malloc(kMost, memory.mem_user_data) == nullptr);
    CHECK(memory.calloc(kMost / 2, 3, memory.mem_user_data) == nullptr);
    CHECK(memory.realloc(text, kMost, memory.mem_user_data) == nullptr);
    CHECK(std::string_view(text, 4) == "text");
    memory.free(text, memory.mem_user_data);
  }
  memory.free(nullptr, memory.mem_user_data);
}

}  // namespace
}  // namespace mark::net
