// What every binding of a native server needs.
#pragma once

#include <pthread.h>
#include <signal.h>

#include <system_error>

#include "bindings/bindings.h"

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
