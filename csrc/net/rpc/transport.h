// Bytes to and from one peer, without waiting: a socket, or TLS over one.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace mark::net {

enum class IoStatus : std::uint8_t { kDone, kWouldBlock, kClosed };

// kDone with at least one byte, or one of the others with none.
struct IoResult {
  IoStatus status = IoStatus::kDone;
  std::size_t bytes = 0;
};

// Thread safety: none; belongs to one event loop. Closes its socket when it ends.
class Transport {
 public:
  virtual ~Transport() = default;

  virtual int fd() const = 0;
  virtual IoResult read(std::span<char> into) = 0;
  virtual IoResult write(std::span<const iovec> pieces) = 0;
  // Whether the next read or write needs the socket to be writable, or readable: a TLS handshake has its own wishes.
  virtual bool wants_write() const { return false; }
  // Whether a write would have to wait for the peer's bytes first, however writable the socket is.
  virtual bool writes_after_read() const { return false; }
  // Bytes that were received and not read yet, of which the socket knows nothing.
  virtual bool has_buffered() const { return false; }
  virtual std::string_view last_error() const = 0;  // why it is closed; empty when the peer just ended it

 protected:
  Transport() = default;
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;
};

// Takes over a connected, or connecting, non-blocking stream socket.
std::unique_ptr<Transport> make_socket_transport(int fd);

}  // namespace mark::net
