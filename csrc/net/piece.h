// Part of a message: bytes, and whoever keeps them.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace mark::net {

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

}  // namespace mark::net
