// W3C Trace Context (https://www.w3.org/TR/trace-context/): which trace a request belongs to, as its headers say.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace mark::net {

constexpr std::string_view kTraceParentHeader = "traceparent";
constexpr std::string_view kTraceStateHeader = "tracestate";

// As they came, or as they are sent. A header that came twice is its values one behind the other: for a traceparent
// that is none, and a tracestate is a list.
struct TraceHeaders {
  std::string parent;
  std::string state;

  void add_state(std::string_view value);
};

// A span among all spans of the world.
struct TraceContext {
  std::uint64_t trace_high = 0;  // the id of the trace; never 0 in both halves
  std::uint64_t trace_low = 0;
  std::uint64_t span = 0;  // never 0
  bool is_sampled = false;
  std::string state;  // of other tracing systems, passed on as it came
};

// Nothing where the traceparent is none. A tracestate of more than the 512 characters that everybody must pass on is
// left out: a list that was cut is none.
std::optional<TraceContext> parse_trace_context(const TraceHeaders& headers);
TraceHeaders headers_of(const TraceContext& context);

}  // namespace mark::net
