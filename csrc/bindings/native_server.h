// What every binding of a native server needs.
#pragma once

#include <pthread.h>
#include <signal.h>

#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <tuple>

#include "bindings/bindings.h"
#include "net/rpc/tls_context.h"

// Certificate, key, authorities, name of the peer.
using ClientIdentity = std::tuple<std::string, std::string, std::string, std::string>;

inline std::shared_ptr<mark::net::TlsContext> client_tls(const std::optional<ClientIdentity>& identity) {
  if (!identity) return nullptr;
  const auto& [certificate, key, authorities, peer_name] = *identity;
  return std::make_shared<mark::net::TlsContext>(
      mark::net::TlsContext::Role::kClient,
      mark::net::TlsIdentity{
          .certificate_pem = certificate, .key_pem = key, .authorities_pem = authorities, .peer_name = peer_name});
}

// No signal is handled on threads that are started while it lives: they are the interpreter's.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_{};
};

// A std::system_error as the OSError of its errno: that an address is in use is something to tell a person.
template <class Call>
void raising_os_error(Call call) {
  try {
    call();
  } catch (const std::system_error& error) {
    PyErr_SetObject(PyExc_OSError, py::make_tuple(error.code().value(), error.what()).ptr());
    throw py::error_already_set();
  }
}
