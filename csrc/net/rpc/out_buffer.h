// Bytes on their way to a socket: small ones are copied together, large ones stay where they are until they are
// written.
#pragma once

#include <cstddef>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "net/rpc/transport.h"

namespace mark::net {

// Part of a message: bytes, and whoever keeps them.
class Piece {
 public:
  Piece() = default;
  explicit Piece(std::string bytes) : Piece(std::make_shared<const std::string>(std::move(bytes))) {}
  explicit Piece(const std::shared_ptr<const std::string>& bytes) : owner_(bytes), bytes_(*bytes) {}
  Piece(std::shared_ptr<const void> owner, std::string_view bytes) : owner_(std::move(owner)), bytes_(bytes) {}

  std::string_view bytes() const { return bytes_; }
  // Cuts off and returns the first `count` bytes.
  Piece take(std::size_t count) {
    Piece front(owner_, bytes_.substr(0, count));
    bytes_.remove_prefix(front.bytes_.size());
    return front;
  }

 private:
  std::shared_ptr<const void> owner_;
  std::string_view bytes_;
};

// Thread safety: none; belongs to one event loop.
//
// Invariants
//   - what is written is what was appended, in order;
//   - a piece is kept until its last byte was written.
class OutBuffer {
 public:
  void append(std::string_view bytes);
  void append(Piece piece);

  // kDone when all is written; kWouldBlock when the peer must read first.
  IoStatus write_to(Transport& transport);

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

 private:
  struct Segment {
    std::string copied;  // bytes of its own, or
    Piece kept;          // somebody's
    std::string_view bytes() const { return copied.empty() ? kept.bytes() : std::string_view(copied); }
  };

  void written(std::size_t count);

  std::deque<Segment> segments_;
  std::size_t first_written_ = 0;  // of the first segment
  std::size_t size_ = 0;
};

}  // namespace mark::net
