// Bytes on their way to a socket: small ones are copied together, large ones stay where they are until they are
// written.
#pragma once

#include <cstddef>
#include <deque>
#include <string>
#include <string_view>

#include "net/piece.h"
#include "net/rpc/transport.h"

namespace mark::net {

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
