#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "net/rpc/block_cache.h"

namespace mark::net {
namespace {

// As a number: what was given back is nobody's to look at any more.
std::uintptr_t place_of(const void* block) { return reinterpret_cast<std::uintptr_t>(block); }

TEST_CASE("a block that was given back is the next one of its size" * doctest::skip(BlockCache::kKeptBytes == 0)) {
  BlockCache cache;
  void* const small = cache.take(40);
  void* const large = cache.take(400);
  const std::uintptr_t small_place = place_of(small);
  const std::uintptr_t large_place = place_of(large);
  cache.give(small, 40);
  cache.give(large, 400);

  void* const large_again = cache.take(390);
  CHECK(place_of(large_again) == large_place);
  void* const small_again = cache.take(64);  // sizes are rounded up
  CHECK(place_of(small_again) == small_place);
  void* const other = cache.take(64);
  CHECK(place_of(other) != small_place);
  cache.give(large_again, 390);
  cache.give(small_again, 64);
  cache.give(other, 64);
}

TEST_CASE("blocks are aligned for whatever lies in them, and of no size at all they are blocks, too") {
  BlockCache cache;
  for (const std::size_t bytes : {0U, 1U, 31U, 32U, 33U, 1023U, 1024U, 1025U, 5000U}) {
    void* const block = cache.take(bytes);
    REQUIRE(block != nullptr);
    CHECK(reinterpret_cast<std::uintptr_t>(block) % alignof(std::max_align_t) == 0);
    std::fill_n(static_cast<char*>(block), bytes, 'x');
    cache.give(block, bytes);
  }
}

TEST_CASE("only so much of a burst is kept") {
  BlockCache cache;
  constexpr std::size_t kBytes = 1024;
  constexpr std::size_t kMany = 4 * BlockCache::kKeptBytes / kBytes;
  std::vector<void*> blocks(kMany);
  for (void*& block : blocks) block = cache.take(kBytes);
  for (void* const block : blocks) cache.give(block, kBytes);
  CHECK(cache.kept_bytes() == BlockCache::kKeptBytes);
}

TEST_CASE("containers and shared objects live in it") {
  BlockCache cache;
  {
    std::vector<std::string, BlockAllocator<std::string>> texts{BlockAllocator<std::string>(cache)};
    for (int i = 0; i < 100; ++i) texts.emplace_back("text " + std::to_string(i));
    const auto shared = std::allocate_shared<std::string>(BlockAllocator<std::string>(cache), texts.back());
    CHECK(*shared == "text 99");
    CHECK(texts[50] == "text 50");
  }
  CHECK((cache.kept_bytes() > 0) == (BlockCache::kKeptBytes > 0));
}

}  // namespace
}  // namespace mark::net
