// TLS: whom a side shows itself as, whom it trusts, and connections over it.
#pragma once

#include <memory>
#include <string>

#include "mark/mutex.h"
#include "mark/thread_annotations.h"
#include "net/rpc/transport.h"

struct ssl_ctx_st;

namespace mark::net {

// Texts in PEM.
struct TlsIdentity {
  std::string certificate_pem;  // its own first, then those between it and an authority; empty: a client shows none
  std::string key_pem;          // not encrypted
  std::string authorities_pem;  // whom it trusts. Empty: a client trusts whom the system does, a server asks nobody
  // A server that has authorities refuses a client without a certificate of theirs; when false, one that shows none
  // is welcome.
  bool client_must_show = true;
  std::string peer_name;  // that the server's certificate must have; empty: the host that is connected to
};

// Thread safety: every method may be called from any thread.
//
// Invariants
//   - TLS 1.2 or later, and HTTP/2 by ALPN: whoever speaks neither is refused in the handshake;
//   - a connection keeps what was shown when it began; what replaces it holds from the next one on;
//   - an identity that does not belong together changes nothing.
class TlsContext {
 public:
  enum class Role { kServer, kClient };

  // Throws std::invalid_argument, saying which text is wrong and why.
  TlsContext(Role role, const TlsIdentity& identity);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  void replace(const TlsIdentity& identity) EXCLUDES(mutex_);  // throws as the constructor

  // TLS over a socket's transport; the handshake goes on with its reads and writes. A client asks for `host`, unless
  // the identity has a name of the peer.
  std::unique_ptr<Transport> secure(std::unique_ptr<Transport> socket, const std::string& host) EXCLUDES(mutex_);
  // What a client calls the peer: its :authority. Empty: as it is connected to.
  std::string peer_name() const EXCLUDES(mutex_);

 private:
  struct Made;

  const Role role_;
  mutable Mutex mutex_;
  std::shared_ptr<const Made> made_ GUARDED_BY(mutex_);
};

}  // namespace mark::net
