// TLS over a transport, without waiting.
#pragma once

#include <openssl/ssl.h>

#include <array>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "net/rpc/transport.h"

namespace mark::net {

struct SslFree {
  void operator()(SSL* ssl) const { SSL_free(ssl); }
};
using SslPointer = std::unique_ptr<SSL, SslFree>;

// Thread safety: none; belongs to one event loop.
//
// Invariants
//   - nothing is read or written before the handshake is done, the peer's certificate is good and HTTP/2 is agreed on.
class TlsTransport final : public Transport {
 public:
  // `ssl` is fresh, and knows already whether it accepts or connects.
  TlsTransport(std::unique_ptr<Transport> socket, SslPointer ssl);
  ~TlsTransport() override;

  int fd() const override { return socket_->fd(); }
  IoResult read(std::span<char> into) override;
  IoResult write(std::span<const iovec> pieces) override;
  bool wants_write() const override { return waits_for_ == SSL_ERROR_WANT_WRITE; }
  bool writes_after_read() const override { return !shaken_ && waits_for_ == SSL_ERROR_WANT_READ; }
  bool has_buffered() const override { return shaken_ && SSL_pending(ssl_.get()) > 0; }
  std::string_view last_error() const override { return error_; }

 private:
  IoStatus shake();
  IoResult outcome(int result);
  IoStatus fail(int ssl_error);
  bool agreed_on_http2() const;

  std::unique_ptr<Transport> socket_;
  SslPointer ssl_;
  bool shaken_ = false;
  bool broken_ = false;
  int waits_for_ = SSL_ERROR_NONE;
  std::string error_;
};

}  // namespace mark::net
