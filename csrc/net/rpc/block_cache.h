// Memory for what lives as long as a call: very many small things, of few sizes, that come and go by the batch.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <utility>

// GCC says it by itself, clang when it is asked.
#ifdef __SANITIZE_ADDRESS__
#define MARK_ADDRESS_SANITIZER
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MARK_ADDRESS_SANITIZER
#endif
#endif

namespace mark::net {

// Keeps blocks that were given back for whoever takes one of that size next. An allocator of everybody's keeps a
// handful of each size at hand, and joins and splits the rest; calls end by the batch, and each has dozens of blocks.
//
// Thread safety: none; belongs to one event loop. Outlives what it gave.
//
// Invariants
//   - of no size more than kKeptBytes are kept, so that a burst leaves little behind;
//   - larger blocks than kBlockBytesMax pass through.
class BlockCache {
 public:
  static constexpr std::size_t kBlockBytesMax = 1024;
#ifdef MARK_ADDRESS_SANITIZER
  static constexpr std::size_t kKeptBytes = 0;  // so that the sanitizer sees who uses what was given back
#else
  static constexpr std::size_t kKeptBytes = std::size_t{256} * 1024;  // of each size
#endif

  BlockCache() = default;
  ~BlockCache();
  BlockCache(const BlockCache&) = delete;
  BlockCache& operator=(const BlockCache&) = delete;

  void* take(std::size_t bytes) {
    if (bytes > kBlockBytesMax) return ::operator new(bytes);
    Size& size = size_of(bytes);
    if (size.first == nullptr) return ::operator new(rounded(bytes));
    Block* const block = size.first;
    size.first = block->next;
    size.kept_bytes -= rounded(bytes);
    return block;
  }

  // The bytes as they were asked for.
  void give(void* block, std::size_t bytes) {
    Size& size = size_of(bytes);
    if (bytes > kBlockBytesMax || size.kept_bytes >= kKeptBytes) return ::operator delete(block);
    size.first = new (block) Block{size.first};
    size.kept_bytes += rounded(bytes);
  }

  std::size_t kept_bytes() const;  // of all sizes

 private:
  static constexpr std::size_t kStepBytes = 32;
  struct Block {
    Block* next;
  };
  struct Size {
    Block* first = nullptr;
    std::size_t kept_bytes = 0;
  };

  // Never nothing: a block that is kept holds the way to the next one.
  static constexpr std::size_t rounded(std::size_t bytes) {
    return bytes == 0 ? kStepBytes : (bytes + kStepBytes - 1) / kStepBytes * kStepBytes;
  }
  // The last one is of those that pass through.
  Size& size_of(std::size_t bytes) {
    return sizes_[bytes > kBlockBytesMax ? sizes_.size() - 1 : rounded(bytes) / kStepBytes];
  }

  std::array<Size, kBlockBytesMax / kStepBytes + 2> sizes_;
};

// For containers, and std::allocate_shared.
template <class T>
class BlockAllocator {
 public:
  using value_type = T;

  explicit BlockAllocator(BlockCache& cache) : cache_(&cache) {}
  template <class Other>
  // NOLINTNEXTLINE(google-explicit-constructor): containers convert it to that of their nodes
  BlockAllocator(const BlockAllocator<Other>& other) : cache_(other.cache()) {}

  T* allocate(std::size_t count) { return static_cast<T*>(cache_->take(count * sizeof(T))); }
  void deallocate(T* block, std::size_t count) { cache_->give(static_cast<void*>(block), count * sizeof(T)); }
  BlockCache* cache() const { return cache_; }
  template <class Other>
  bool operator==(const BlockAllocator<Other>& other) const {
    return cache_ == other.cache();
  }

 private:
  BlockCache* cache_;
};

}  // namespace mark::net
