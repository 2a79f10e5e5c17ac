#include "net/rpc/trace_notes.h"

#include "net/rpc/event_loop.h"

namespace mark::net {

void note_answer(const std::shared_ptr<RequestTrace>& trace) {
  if (trace) trace->end("OK", {}, steady_now());
}

void note_end(const std::shared_ptr<RequestTrace>& trace, const RequestEnd& end) {
  if (trace) trace->end(status_name_of(end.kind), end.message, steady_now());
}

void note_left(const std::shared_ptr<RequestTrace>& trace, TimeNs deadline) {
  if (!trace) return;
  const TimeNs now = steady_now();
  if (now < deadline) {
    trace->end("CANCELLED", "the client has left", now);
  } else {
    trace->end("DEADLINE_EXCEEDED", "the client waits no longer", now);
  }
}

void note_sent(const std::shared_ptr<BatchTrace>& trace, const BatchCarrier& carrier) {
  if (trace) trace->sent(carrier.address(), steady_now());
}

void note_result(const std::shared_ptr<BatchTrace>& trace, const BatchResult& result) {
  if (!trace) return;
  const TimeNs now = steady_now();
  switch (result.kind) {
    case BatchResult::Kind::kAnswered:
    case BatchResult::Kind::kCompleted:
      return trace->end("OK", {}, now);
    case BatchResult::Kind::kModelError:
      return trace->end("INTERNAL", result.text, now);
    case BatchResult::Kind::kLinkFailed:
      return trace->end("UNAVAILABLE", result.text, now);
    case BatchResult::Kind::kHung:
      return trace->end("DEADLINE_EXCEEDED", result.text, now);
  }
}

}  // namespace mark::net
