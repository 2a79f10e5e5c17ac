#include "net/rpc/nghttp2_memory.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <limits>
#include <new>

namespace mark::net {

namespace {

// Before each block, for nghttp2 does not say how large a block is that it frees.
constexpr std::size_t kHeadBytes = alignof(std::max_align_t);

std::size_t& size_of(char* block) { return *reinterpret_cast<std::size_t*>(block); }

// No exception may cross nghttp2.
void* take(std::size_t bytes, void* user) {
  if (bytes > std::numeric_limits<std::size_t>::max() - kHeadBytes) return nullptr;
  try {
    auto* const block = static_cast<char*>(static_cast<BlockCache*>(user)->take(bytes + kHeadBytes));
    size_of(block) = bytes;
    return block + kHeadBytes;
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

void give(void* memory, void* user) {
  if (memory == nullptr) return;
  char* const block = static_cast<char*>(memory) - kHeadBytes;
  static_cast<BlockCache*>(user)->give(block, size_of(block) + kHeadBytes);
}

void* take_zeros(std::size_t count, std::size_t bytes, void* user) {
  if (bytes != 0 && count > std::numeric_limits<std::size_t>::max() / bytes) return nullptr;
  void* const memory = take(count * bytes, user);
  return memory == nullptr ? nullptr : std::memset(memory, 0, count * bytes);
}

void* retake(void* memory, std::size_t bytes, void* user) {
  void* const other = take(bytes, user);
  if (memory == nullptr || other == nullptr) return other;
  std::memcpy(other, memory, std::min(bytes, size_of(static_cast<char*>(memory) - kHeadBytes)));
  give(memory, user);
  return other;
}

}  // namespace

nghttp2_mem nghttp2_memory(BlockCache& cache) {
  return {.mem_user_data = &cache, .malloc = take, .free = give, .calloc = take_zeros, .realloc = retake};
}

}  // namespace mark::net
