#include "net/rpc/tls_transport.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509_vfy.h>

#include <algorithm>
#include <climits>
#include <cstring>
#include <new>
#include <utility>

namespace mark::net {

namespace {

constexpr std::size_t kRecordBytes = 16'384;

// OpenSSL's view of a transport. Its own one of a socket would raise SIGPIPE.
struct TransportBio {
  static Transport& transport_of(BIO* bio) { return *static_cast<Transport*>(BIO_get_data(bio)); }

  static int read(BIO* bio, char* bytes, int count) {
    BIO_clear_retry_flags(bio);
    const IoResult result = transport_of(bio).read({bytes, static_cast<std::size_t>(count)});
    if (result.status == IoStatus::kWouldBlock) BIO_set_retry_read(bio);
    if (result.status == IoStatus::kClosed) BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
    return result.status == IoStatus::kDone ? static_cast<int>(result.bytes) : -1;
  }

  static int write(BIO* bio, const char* bytes, int count) {
    BIO_clear_retry_flags(bio);
    const iovec piece{.iov_base = const_cast<char*>(bytes), .iov_len = static_cast<std::size_t>(count)};
    const IoResult result = transport_of(bio).write({&piece, 1});
    if (result.status == IoStatus::kWouldBlock) BIO_set_retry_write(bio);
    return result.status == IoStatus::kDone ? static_cast<int>(result.bytes) : -1;
  }

  static long control(BIO* bio, int command, long /*number*/, void* /*pointer*/) {
    if (command == BIO_CTRL_EOF) return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0 ? 1 : 0;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
  }

  static const BIO_METHOD* method() {
    static const BIO_METHOD* const made = [] {
      // NOLINTNEXTLINE(hicpp-signed-bitwise,bugprone-signed-bitwise): OpenSSL's types are an int
      BIO_METHOD* const method = BIO_meth_new(BIO_TYPE_SOURCE_SINK | BIO_get_new_index(), "mark transport");
      if (method == nullptr) throw std::bad_alloc();
      BIO_meth_set_read(method, read);
      BIO_meth_set_write(method, write);
      BIO_meth_set_ctrl(method, control);
      return method;
    }();
    return made;
  }
};

std::string reason_of(unsigned long error) {
  const char* const reason = ERR_reason_error_string(error);
  return reason != nullptr ? reason : "error " + std::to_string(error);
}

}  // namespace

TlsTransport::TlsTransport(std::unique_ptr<Transport> socket, SslPointer ssl)
    : socket_(std::move(socket)), ssl_(std::move(ssl)) {
  BIO* const bio = BIO_new(TransportBio::method());
  if (bio == nullptr) throw std::bad_alloc();
  BIO_set_data(bio, socket_.get());
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl_.get(), bio, bio);
}

TlsTransport::~TlsTransport() {
  // The peer hears that this is the end, if there is room to say it; nobody waits for its answer.
  if (shaken_ && !broken_) {
    ERR_clear_error();
    SSL_shutdown(ssl_.get());
  }
}

IoResult TlsTransport::read(std::span<char> into) {
  if (const IoStatus status = shake(); status != IoStatus::kDone) return {status, 0};
  ERR_clear_error();
  return outcome(SSL_read(ssl_.get(), into.data(), static_cast<int>(std::min<std::size_t>(into.size(), INT_MAX))));
}

IoResult TlsTransport::write(std::span<const iovec> pieces) {
  if (const IoStatus status = shake(); status != IoStatus::kDone) return {status, 0};
  // A record for each small piece would be mostly heads of records. What is tried again begins with the same bytes,
  // as OpenSSL demands, for nothing is taken off the front meanwhile.
  thread_local std::array<char, kRecordBytes> record;
  std::string_view bytes;
  if (!pieces.empty()) bytes = {static_cast<const char*>(pieces.front().iov_base), pieces.front().iov_len};
  if (bytes.size() < record.size() && pieces.size() > 1) {
    std::size_t filled = 0;
    for (const iovec& piece : pieces) {
      const std::size_t count = std::min(piece.iov_len, record.size() - filled);
      std::memcpy(record.data() + filled, piece.iov_base, count);
      filled += count;
      if (filled == record.size()) break;
    }
    bytes = {record.data(), filled};
  }
  if (bytes.empty()) return {IoStatus::kDone, 0};
  ERR_clear_error();
  return outcome(SSL_write(ssl_.get(), bytes.data(), static_cast<int>(std::min<std::size_t>(bytes.size(), INT_MAX))));
}

IoStatus TlsTransport::shake() {
  if (broken_) return IoStatus::kClosed;
  if (shaken_) return IoStatus::kDone;
  ERR_clear_error();
  const int result = SSL_do_handshake(ssl_.get());
  if (result != 1) return outcome(result).status;
  waits_for_ = SSL_ERROR_NONE;
  if (!agreed_on_http2()) {
    broken_ = true;
    error_ = "TLS: the peer does not agree on HTTP/2 (ALPN \"h2\")";
    return IoStatus::kClosed;
  }
  shaken_ = true;
  return IoStatus::kDone;
}

IoResult TlsTransport::outcome(int result) {
  if (result > 0) {
    waits_for_ = SSL_ERROR_NONE;
    return {IoStatus::kDone, static_cast<std::size_t>(result)};
  }
  const int error = SSL_get_error(ssl_.get(), result);
  if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
    waits_for_ = error;
    return {IoStatus::kWouldBlock, 0};
  }
  return {fail(error), 0};
}

IoStatus TlsTransport::fail(int ssl_error) {
  broken_ = true;
  waits_for_ = SSL_ERROR_NONE;
  const unsigned long error = ERR_peek_error();
  const long verified = SSL_get_verify_result(ssl_.get());
  if (!shaken_ && verified != X509_V_OK) {
    error_ = std::string("TLS: the peer's certificate is refused: ") + X509_verify_cert_error_string(verified);
  } else if (ssl_error == SSL_ERROR_SSL) {
    error_ = "TLS: " + reason_of(error);
  } else if (!socket_->last_error().empty()) {
    error_ = socket_->last_error();
  } else if (!shaken_) {
    error_ = "the peer ended the connection during the TLS handshake";
  }
  return IoStatus::kClosed;
}

bool TlsTransport::agreed_on_http2() const {
  const unsigned char* name = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(ssl_.get(), &name, &size);
  return std::string_view(reinterpret_cast<const char*>(name), size) == "h2";
}

}  // namespace mark::net
