#include "net/trace_context.h"

#include <cstddef>

namespace mark::net {

namespace {

// version "-" trace-id "-" parent-id "-" flags, all in lower-case hexadecimal.
constexpr std::size_t kTraceAt = 3;
constexpr std::size_t kSpanAt = 36;
constexpr std::size_t kFlagsAt = 53;
constexpr std::size_t kEnd = 55;
constexpr std::size_t kHexOf64 = 16;
constexpr std::size_t kStateMax = 512;
constexpr std::uint64_t kSampledFlag = 1;
constexpr std::uint64_t kNoVersion = 0xff;

std::optional<std::uint64_t> hex(std::string_view digits) {
  std::uint64_t value = 0;
  for (const char digit : digits) {
    const bool is_number = digit >= '0' && digit <= '9';
    if (!is_number && (digit < 'a' || digit > 'f')) return std::nullopt;
    value = value << 4U | static_cast<std::uint64_t>(is_number ? digit - '0' : digit - 'a' + 10);
  }
  return value;
}

void append_hex(std::string& text, std::uint64_t value, std::size_t digits) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  for (std::size_t i = digits; i > 0; --i) text.push_back(kDigits[value >> (4U * (i - 1)) & 0xfU]);
}

}  // namespace

void TraceHeaders::add_state(std::string_view value) {
  if (!state.empty()) state.push_back(',');
  state.append(value);
}

std::optional<TraceContext> parse_trace_context(const TraceHeaders& headers) {
  const std::string_view text = headers.parent;
  if (text.size() < kEnd || text[2] != '-' || text[kSpanAt - 1] != '-' || text[kFlagsAt - 1] != '-')
    return std::nullopt;
  const auto version = hex(text.substr(0, 2));
  const auto high = hex(text.substr(kTraceAt, kHexOf64));
  const auto low = hex(text.substr(kTraceAt + kHexOf64, kHexOf64));
  const auto span = hex(text.substr(kSpanAt, kHexOf64));
  const auto flags = hex(text.substr(kFlagsAt, 2));
  if (!version || !high || !low || !span || !flags || *version == kNoVersion) return std::nullopt;
  // A later version may say more, but only behind another dash.
  if (text.size() > kEnd && (*version == 0 || text[kEnd] != '-')) return std::nullopt;
  if ((*high == 0 && *low == 0) || *span == 0) return std::nullopt;
  return TraceContext{.trace_high = *high,
                      .trace_low = *low,
                      .span = *span,
                      .is_sampled = (*flags & kSampledFlag) != 0,
                      .state = headers.state.size() <= kStateMax ? headers.state : std::string()};
}

TraceHeaders headers_of(const TraceContext& context) {
  TraceHeaders headers{.parent = "00-", .state = context.state};
  headers.parent.reserve(kEnd);
  append_hex(headers.parent, context.trace_high, kHexOf64);
  append_hex(headers.parent, context.trace_low, kHexOf64);
  headers.parent.push_back('-');
  append_hex(headers.parent, context.span, kHexOf64);
  headers.parent.append(context.is_sampled ? "-01" : "-00");
  return headers;
}

}  // namespace mark::net
