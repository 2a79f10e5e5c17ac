#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "net/rpc/out_buffer.h"

namespace mark::net {

namespace {

// Takes so many bytes at a time, then so many in all.
class NarrowTransport final : public Transport {
 public:
  NarrowTransport(std::size_t at_once, std::size_t in_all) : at_once_(at_once), room_(in_all) {}
  int fd() const override { return -1; }
  IoResult read(std::span<char> /*into*/) override { return {IoStatus::kWouldBlock, 0}; }
  IoResult write(std::span<const iovec> pieces) override {
    if (room_ == 0) return {IoStatus::kWouldBlock, 0};
    std::size_t left = std::min(at_once_, room_);
    const std::size_t before = taken.size();
    for (const iovec& piece : pieces) {
      const std::size_t count = std::min(left, piece.iov_len);
      taken.append(static_cast<const char*>(piece.iov_base), count);
      left -= count;
    }
    room_ -= taken.size() - before;
    return {IoStatus::kDone, taken.size() - before};
  }
  std::string_view last_error() const override { return ""; }
  void widen(std::size_t bytes) { room_ += bytes; }

  std::string taken;

 private:
  std::size_t at_once_;
  std::size_t room_;
};

TEST_CASE("what is written is what was appended, however it is taken") {
  for (const std::size_t at_once : {std::size_t{1}, std::size_t{7}, std::size_t{4096}, std::size_t{1} << 20U}) {
    OutBuffer buffer;
    std::string expected;
    for (std::size_t i = 0; i < 40; ++i) {
      const std::string bytes(i % 3 == 0 ? 5000 : i, static_cast<char>('a' + i % 26));
      expected += bytes;
      if (i % 2 == 0) {
        buffer.append(bytes);
      } else {
        buffer.append(Piece(bytes));
      }
    }
    CHECK(buffer.size() == expected.size());
    NarrowTransport transport(at_once, expected.size());
    CHECK(buffer.write_to(transport) == IoStatus::kDone);
    CHECK(buffer.empty());
    CHECK(transport.taken == expected);
  }
}

TEST_CASE("what the peer does not take waits, and more may be appended meanwhile") {
  OutBuffer buffer;
  NarrowTransport transport(10, 25);
  buffer.append(std::string_view("0123456789"));
  buffer.append(Piece(std::string(5000, 'x')));
  CHECK(buffer.write_to(transport) == IoStatus::kWouldBlock);
  CHECK(buffer.size() == 5010 - 25);
  buffer.append(std::string_view("end"));
  transport.widen(10'000);
  CHECK(buffer.write_to(transport) == IoStatus::kDone);
  CHECK(transport.taken == "0123456789" + std::string(5000, 'x') + "end");
}

TEST_CASE("a large piece is kept until its last byte was written, a small one is copied") {
  const auto large = std::make_shared<const std::string>(5000, 'x');
  const auto small = std::make_shared<const std::string>("small");
  OutBuffer buffer;
  buffer.append(Piece(large));
  buffer.append(Piece(small));
  CHECK(large.use_count() == 2);
  CHECK(small.use_count() == 1);
  NarrowTransport transport(5000, 4999);
  buffer.write_to(transport);
  CHECK(large.use_count() == 2);
  transport.widen(1);
  buffer.write_to(transport);
  CHECK(large.use_count() == 1);
}

TEST_CASE("a piece can be cut") {
  Piece piece(std::string("abcdef"));
  CHECK(piece.take(2).bytes() == "ab");
  CHECK(piece.bytes() == "cdef");
  CHECK(piece.take(100).bytes() == "cdef");
  CHECK(piece.bytes().empty());
}

}  // namespace

}  // namespace mark::net
