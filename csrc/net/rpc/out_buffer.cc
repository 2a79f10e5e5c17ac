#include "net/rpc/out_buffer.h"

#include <array>
#include <span>
#include <utility>

namespace mark::net {

namespace {

// A copy of so little costs less than an entry of its own.
constexpr std::size_t kCopiedMax = 4096;
constexpr std::size_t kSegmentBytes = std::size_t{64} * 1024;
constexpr std::size_t kPiecesPerWrite = 64;

// Memory of a segment that was written, for the next one: of the thread, as it would be too much for each of thousands
// of connections that are idle.
std::string& spare() {
  thread_local std::string memory;
  return memory;
}

}  // namespace

void OutBuffer::append(std::string_view bytes) {
  if (bytes.empty()) return;
  if (segments_.empty() || segments_.back().copied.empty() || segments_.back().copied.size() >= kSegmentBytes) {
    segments_.push_back({.copied = std::exchange(spare(), {}), .kept = {}});
  }
  segments_.back().copied.append(bytes);
  size_ += bytes.size();
}

void OutBuffer::append(Piece piece) {
  if (piece.bytes().size() <= kCopiedMax) {
    append(piece.bytes());
    return;
  }
  size_ += piece.bytes().size();
  segments_.push_back({.copied = {}, .kept = std::move(piece)});
}

IoStatus OutBuffer::write_to(Transport& transport) {
  while (!segments_.empty()) {
    std::array<iovec, kPiecesPerWrite> pieces{};
    std::size_t count = 0;
    for (auto segment = segments_.begin(); segment != segments_.end() && count < kPiecesPerWrite; ++segment, ++count) {
      const std::string_view bytes = segment->bytes().substr(count == 0 ? first_written_ : 0);
      // writev only reads.
      pieces[count] = {.iov_base = const_cast<char*>(bytes.data()), .iov_len = bytes.size()};
    }
    const IoResult result = transport.write(std::span(pieces).first(count));
    if (result.status != IoStatus::kDone) return result.status;
    written(result.bytes);
  }
  return IoStatus::kDone;
}

void OutBuffer::written(std::size_t count) {
  size_ -= count;
  count += first_written_;
  while (!segments_.empty() && count >= segments_.front().bytes().size()) {
    count -= segments_.front().bytes().size();
    std::string& memory = segments_.front().copied;
    if (memory.capacity() > spare().capacity() && memory.capacity() <= 2 * kSegmentBytes) {
      spare() = std::move(memory);
      spare().clear();
    }
    segments_.pop_front();
  }
  first_written_ = segments_.empty() ? 0 : count;
}

}  // namespace mark::net
