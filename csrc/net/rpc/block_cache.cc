#include "net/rpc/block_cache.h"

namespace mark::net {

BlockCache::~BlockCache() {
  for (Size& size : sizes_) {
    while (size.first != nullptr) ::operator delete(std::exchange(size.first, size.first->next));
  }
}

std::size_t BlockCache::kept_bytes() const {
  std::size_t bytes = 0;
  for (const Size& size : sizes_) bytes += size.kept_bytes;
  return bytes;
}

}  // namespace mark::net
