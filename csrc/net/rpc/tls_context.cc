#include "net/rpc/tls_context.h"

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <array>
#include <limits>
#include <new>
#include <stdexcept>
#include <string_view>
#include <utility>
#include <vector>

#include "net/rpc/tls_transport.h"

namespace mark::net {

namespace {

constexpr std::array<unsigned char, 3> kHttp2{2, 'h', '2'};  // a list of one, each name behind its length

template <auto kFree>
struct Free {
  template <class T>
  void operator()(T* pointer) const {
    kFree(pointer);
  }
};
using BioPointer = std::unique_ptr<BIO, Free<BIO_free>>;
using CertificatePointer = std::unique_ptr<X509, Free<X509_free>>;
using KeyPointer = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;
using ContextPointer = std::unique_ptr<SSL_CTX, Free<SSL_CTX_free>>;

BioPointer bio_of(const std::string& pem) {
  if (pem.size() > std::numeric_limits<int>::max()) throw std::invalid_argument("TLS: a text of gigabytes is no PEM");
  BioPointer bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  if (!bio) throw std::bad_alloc();
  return bio;
}

// Told no password, OpenSSL would ask for one at the terminal.
int no_password(char* /*buffer*/, int /*size*/, int /*writes*/, void* /*user*/) { return -1; }

std::vector<CertificatePointer> certificates_of(const std::string& pem, const char* what) {
  const BioPointer bio = bio_of(pem);
  std::vector<CertificatePointer> certificates;
  ERR_clear_error();
  while (X509* const certificate = PEM_read_bio_X509(bio.get(), nullptr, no_password, nullptr)) {
    certificates.emplace_back(certificate);
  }
  // The end is an error as well: no further line that begins a certificate.
  const bool is_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  ERR_clear_error();
  if (certificates.empty()) throw std::invalid_argument(std::string("TLS: ") + what + " holds no certificate in PEM");
  if (!is_end) throw std::invalid_argument(std::string("TLS: ") + what + " holds a certificate that cannot be read");
  return certificates;
}

void show(SSL_CTX* context, const TlsIdentity& identity) {
  std::vector<CertificatePointer> chain = certificates_of(identity.certificate_pem, "the certificate");
  const KeyPointer key(PEM_read_bio_PrivateKey(bio_of(identity.key_pem).get(), nullptr, no_password, nullptr));
  ERR_clear_error();
  if (!key) throw std::invalid_argument("TLS: the key holds no private key in PEM that is not encrypted");
  if (SSL_CTX_use_certificate(context, chain.front().get()) != 1) {
    throw std::invalid_argument("TLS: the certificate's key is too weak, or of a kind that TLS does not use");
  }
  if (SSL_CTX_use_PrivateKey(context, key.get()) != 1 || SSL_CTX_check_private_key(context) != 1) {
    throw std::invalid_argument("TLS: certificate and key do not belong together; write both anew");
  }
  for (std::size_t i = 1; i < chain.size(); ++i) {
    if (SSL_CTX_add0_chain_cert(context, chain[i].get()) != 1) throw std::bad_alloc();
    [[maybe_unused]] const X509* const kept = chain[i].release();  // by the context
  }
}

void trust(SSL_CTX* context, TlsContext::Role role, const TlsIdentity& identity) {
  if (identity.authorities_pem.empty()) {
    if (role == TlsContext::Role::kClient) SSL_CTX_set_default_verify_paths(context);
    return;
  }
  X509_STORE* const store = SSL_CTX_get_cert_store(context);
  for (const CertificatePointer& each : certificates_of(identity.authorities_pem, "the list of authorities")) {
    if (X509_STORE_add_cert(store, each.get()) != 1) throw std::bad_alloc();
    if (role == TlsContext::Role::kServer && SSL_CTX_add_client_CA(context, each.get()) != 1) throw std::bad_alloc();
  }
  // As gRPC does: an authority need not be a root.
  X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_TRUSTED_FIRST);
}

int select_http2(SSL* /*ssl*/, const unsigned char** name, unsigned char* size, const unsigned char* offered,
                 unsigned offered_size, void* /*user*/) {
  unsigned char* selected = nullptr;
  const int result = SSL_select_next_proto(&selected, size, kHttp2.data(), kHttp2.size(), offered, offered_size);
  *name = selected;
  return result == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

ContextPointer make_context(TlsContext::Role role, const TlsIdentity& identity) {
  const bool is_server = role == TlsContext::Role::kServer;
  ContextPointer made(SSL_CTX_new(is_server ? TLS_server_method() : TLS_client_method()));
  if (!made) throw std::bad_alloc();
  SSL_CTX* const context = made.get();
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  // RFC 9113, appendix A, allows HTTP/2 no others of TLS 1.2.
  SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20");
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_num_tickets(context, 0);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_mode(context,
                   SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  if (is_server) {
    SSL_CTX_set_alpn_select_cb(context, select_http2, nullptr);
  } else if (SSL_CTX_set_alpn_protos(context, kHttp2.data(), kHttp2.size()) != 0) {
    throw std::bad_alloc();
  }
  if (is_server || !identity.certificate_pem.empty()) show(context, identity);
  trust(context, role, identity);
  // NOLINTNEXTLINE(hicpp-signed-bitwise,bugprone-signed-bitwise): OpenSSL's flags are an int
  constexpr int kMustShow = SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
  int verifies = is_server && identity.client_must_show ? kMustShow : SSL_VERIFY_PEER;
  if (is_server && identity.authorities_pem.empty()) verifies = SSL_VERIFY_NONE;
  SSL_CTX_set_verify(context, verifies, nullptr);
  return made;
}

bool is_ip(const std::string& host) {
  in6_addr address{};
  return inet_pton(AF_INET, host.c_str(), &address) == 1 || inet_pton(AF_INET6, host.c_str(), &address) == 1;
}

// A client asks for the server by name, and takes no other.
void expect(SSL* ssl, const std::string& name) {
  X509_VERIFY_PARAM* const expected = SSL_get0_param(ssl);
  X509_VERIFY_PARAM_set_hostflags(expected, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  const bool by_ip = is_ip(name);
  const int result = by_ip ? X509_VERIFY_PARAM_set1_ip_asc(expected, name.c_str())
                           : X509_VERIFY_PARAM_set1_host(expected, name.data(), name.size());
  if (result != 1 || (!by_ip && SSL_set_tlsext_host_name(ssl, name.c_str()) != 1)) throw std::bad_alloc();
}

}  // namespace

struct TlsContext::Made {
  ContextPointer context;
  std::string peer_name;
};

TlsContext::TlsContext(Role role, const TlsIdentity& identity)
    : role_(role),
      made_(std::make_shared<const Made>(
          Made{.context = make_context(role, identity), .peer_name = identity.peer_name})) {}

TlsContext::~TlsContext() = default;

void TlsContext::replace(const TlsIdentity& identity) {
  auto made =
      std::make_shared<const Made>(Made{.context = make_context(role_, identity), .peer_name = identity.peer_name});
  const MutexLock lock(mutex_);
  made_ = std::move(made);
}

std::string TlsContext::peer_name() const {
  const MutexLock lock(mutex_);
  return made_->peer_name;
}

std::unique_ptr<Transport> TlsContext::secure(std::unique_ptr<Transport> socket, const std::string& host) {
  std::shared_ptr<const Made> made;
  {
    const MutexLock lock(mutex_);
    made = made_;
  }
  SslPointer ssl(SSL_new(made->context.get()));  // which keeps the context
  if (!ssl) throw std::bad_alloc();
  if (role_ == Role::kServer) {
    SSL_set_accept_state(ssl.get());
  } else {
    SSL_set_connect_state(ssl.get());
    expect(ssl.get(), made->peer_name.empty() ? host : made->peer_name);
  }
  return std::make_unique<TlsTransport>(std::move(socket), std::move(ssl));
}

}  // namespace mark::net
