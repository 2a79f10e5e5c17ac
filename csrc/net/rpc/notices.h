// What the native data plane has to tell the rest of the process, and whoever waits for it there: a queue and a file
// descriptor that an event loop of any kind watches. Nothing of a request that is answered goes through it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "mark/mutex.h"
#include "mark/thread_annotations.h"
#include "mark/types.h"
#include "net/request_end.h"
#include "net/tracer.h"

namespace mark::net {

// By which a request that was given up is answered later: its ingress thread, and its call there.
struct GivenUpTicket {
  std::uint32_t loop = 0;
  std::uint64_t call = 0;
};

// A request that the endpoint refused or dropped, where something else may answer it.
struct GivenUpRequest {
  GivenUpTicket ticket;
  std::string message;
  TimeNs arrived;
  TimeNs deadline;
  Outcome outcome = Outcome::kExpired;
  RequestEnd end;                                 // what its client is told unless somebody answers
  std::shared_ptr<RequestTrace> trace = nullptr;  // of one that is sampled
};

struct GivenUpLeft {  // its client has left
  GivenUpTicket ticket;
};

struct WorkerReady {
  WorkerId worker{};
};

struct WorkerProbed {  // it answers differently than before when it is asked whether it is ready
  WorkerId worker{};
  std::string finding;
};

struct WorkerGone {  // drained or removed, as was asked for
  WorkerId worker{};
};

struct BatchLost {
  int requests = 0;
  std::string why;
};

struct PathClosed {};

struct AllAnswered {};  // the ingress drains, and no call waits any more

struct Notice {
  int path = 0;  // its number among the models; of AllAnswered: none
  std::variant<GivenUpRequest, GivenUpLeft, WorkerReady, WorkerProbed, WorkerGone, BatchLost, PathClosed, AllAnswered>
      what;
};

// Thread safety: tell() and take() may be called from any thread.
//
// Invariants
//   - notices are taken once, in the order in which they were told;
//   - fd() is readable while there are any that no take() is about to return.
class Notices {
 public:
  Notices();  // throws std::system_error when the process has no file descriptor left
  ~Notices();
  Notices(const Notices&) = delete;
  Notices& operator=(const Notices&) = delete;

  void tell(Notice notice) EXCLUDES(mutex_);
  std::vector<Notice> take() EXCLUDES(mutex_);
  int fd() const { return event_; }

 private:
  const int event_;
  Mutex mutex_;
  std::vector<Notice> told_ GUARDED_BY(mutex_);
};

}  // namespace mark::net
