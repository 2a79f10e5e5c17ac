#include <doctest/doctest.h>

#include <string>

#include "net/trace_context.h"

namespace mark::net {
namespace {

constexpr const char* kParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

TEST_CASE("a traceparent is read, and written as it was") {
  const auto context = parse_trace_context({.parent = kParent, .state = "vendor=1"});
  REQUIRE(context.has_value());
  CHECK(context->trace_high == 0x0af7651916cd43ddU);
  CHECK(context->trace_low == 0x8448eb211c80319cU);
  CHECK(context->span == 0xb7ad6b7169203331U);
  CHECK(context->is_sampled);
  CHECK(headers_of(*context).parent == kParent);
  CHECK(headers_of(*context).state == "vendor=1");
}

TEST_CASE("only the flag of sampling says whether a trace is sampled") {
  std::string text = kParent;
  for (const auto& [flags, sampled] : {std::pair{"00", false}, {"01", true}, {"02", false}, {"ff", true}}) {
    text.replace(53, 2, flags);
    const auto context = parse_trace_context({.parent = text, .state = {}});
    REQUIRE(context.has_value());
    CHECK(context->is_sampled == sampled);
  }
}

TEST_CASE("what is no traceparent is none") {
  for (const char* text : {
           "",
           "00",
           "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",      // no flags
           "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1",    // half a flag
           "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",   // upper case
           "00-0af7651916cd43dd8448eb211c80319g-b7ad6b7169203331-01",   // no digit
           "00-00000000000000000000000000000000-b7ad6b7169203331-01",   // no trace
           "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",   // no span
           "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",   // no version
           "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-",  // version 0 has no more
           "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01x",
           "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
           "00-0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331-01",
           "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331_01",
       }) {
    CAPTURE(text);
    CHECK_FALSE(parse_trace_context({.parent = text, .state = {}}).has_value());
  }
}

TEST_CASE("a later version is read as far as it is known") {
  CHECK(parse_trace_context({.parent = std::string("01") + (kParent + 2) + "-more", .state = {}}).has_value());
}

TEST_CASE("two traceparents are none, and two tracestates one list") {
  TraceHeaders headers;
  headers.parent.append(kParent).append(kParent);
  CHECK_FALSE(parse_trace_context(headers).has_value());
  headers.add_state("a=1");
  headers.add_state("b=2");
  CHECK(headers.state == "a=1,b=2");
}

TEST_CASE("a tracestate that is longer than anybody must carry is left out, not cut") {
  CHECK(parse_trace_context({.parent = kParent, .state = std::string(512, 'x')})->state.size() == 512);
  CHECK(parse_trace_context({.parent = kParent, .state = std::string(513, 'x')})->state.empty());
}

}  // namespace
}  // namespace mark::net
