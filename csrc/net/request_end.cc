#include "net/request_end.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

#include "net/wire.h"

namespace mark::net {

namespace {

constexpr std::size_t kStatusCharactersMax = 600;

RequestEnd overloaded(std::string why, DurationNs retry_after) {
  if (retry_after <= DurationNs::zero()) {
    why += "; nothing is queued, so it will be no sooner later; allow more time";
    return {.kind = EndKind::kOverloaded, .message = std::move(why), .retry_after_ms = std::nullopt};
  }
  const std::int64_t retry_after_ms = (retry_after.count() + 999'999) / 1'000'000;
  why += "; try again in " + std::to_string(retry_after_ms) + " ms, or allow more time";
  return {.kind = EndKind::kOverloaded, .message = std::move(why), .retry_after_ms = retry_after_ms};
}

RequestEnd end(EndKind kind, std::string message) {
  return {.kind = kind, .message = std::move(message), .retry_after_ms = std::nullopt};
}

// Bytes of the character that the text begins with; 0 when it is none.
std::size_t character_bytes(std::string_view text) {
  for (std::size_t bytes = 1; bytes <= std::min<std::size_t>(4, text.size()); ++bytes) {
    if (is_utf8(text.substr(0, bytes))) return bytes;
  }
  return 0;
}

}  // namespace

std::string_view status_name_of(EndKind kind) {
  static constexpr std::array<std::string_view, 6> kNames{"INVALID_ARGUMENT",  "NOT_FOUND",   "RESOURCE_EXHAUSTED",
                                                          "DEADLINE_EXCEEDED", "UNAVAILABLE", "INTERNAL"};
  return kNames.at(static_cast<std::size_t>(kind));
}

RequestEnd end_of(const RequestError& error) {
  const bool not_found = error.fault == RequestFault::kUnknownModel || error.fault == RequestFault::kUnknownVersion;
  return end(not_found ? EndKind::kModelNotFound : EndKind::kInvalidRequest, error.message);
}

RequestEnd end_of(const Refusal& refusal) {
  switch (refusal.admission) {
    case Admission::kExpired:
      return end(EndKind::kDeadlineExceeded, "the deadline had passed on arrival");
    case Admission::kQueueFull:
      return overloaded("the queue is full", refusal.retry_after);
    case Admission::kShed:
      return end(
          EndKind::kOverloaded,
          "the budget does not pay for all requests of the lowest priority, and this one is shed; send it with a "
          "higher priority, or later");
    default:
      return overloaded("no worker can answer before the deadline", refusal.retry_after);
  }
}

RequestEnd end_of(Outcome outcome, std::string_view detail, DurationNs backlog) {
  switch (outcome) {
    case Outcome::kExpired:
      return end(EndKind::kDeadlineExceeded, "the deadline passed before a worker answered");
    case Outcome::kPredictedMiss:
      return overloaded("no worker can answer before the deadline any more", backlog);
    case Outcome::kModelError:
      return end(EndKind::kModelFailed, detail.empty() ? "the model failed on this request" : std::string(detail));
    default:
      return end(EndKind::kUnavailable, "the worker was lost, and so was the retry; safe to send again");
  }
}

RequestEnd unknown_model(std::string_view name, const std::vector<std::string>& served) {
  std::vector<std::string> sorted = served;
  std::sort(sorted.begin(), sorted.end());
  std::string message = "model_name: unknown model " + quoted(name) + "; served are ";
  for (std::size_t i = 0; i < sorted.size(); ++i) message += (i == 0 ? "" : ", ") + sorted[i];
  return end(EndKind::kModelNotFound, std::move(message));
}

RequestEnd unknown_version(std::string_view model, std::string_view version, std::string_view served) {
  return end(EndKind::kModelNotFound, "model_version: model " + quoted(model) + " has no version " + quoted(version) +
                                          "; served is " + quoted(served));
}

RequestEnd refused_for_stop() { return end(EndKind::kUnavailable, "the server stops; send to another one"); }

RequestEnd ended_by_stop() { return end(EndKind::kUnavailable, "the server stops"); }

std::string status_text(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  constexpr std::string_view kMore = "...";
  std::string shown;
  std::size_t characters = 0;
  std::size_t cut = 0;  // bytes that stay when the text turns out to be too long
  const auto add = [&](std::string_view character) {
    if (characters++ == kStatusCharactersMax - kMore.size()) cut = shown.size();
    shown += character;
  };
  while (!text.empty() && characters <= kStatusCharactersMax) {
    const std::size_t bytes = character_bytes(text);
    if (bytes > 0) {
      add(text.substr(0, bytes));
    } else {
      const auto byte = static_cast<unsigned char>(text.front());
      for (const char each : {'\\', 'x', kDigits[byte / 16], kDigits[byte % 16]}) add(std::string_view(&each, 1));
    }
    text.remove_prefix(std::max<std::size_t>(bytes, 1));
  }
  if (characters > kStatusCharactersMax) shown.replace(cut, std::string::npos, kMore);
  return shown;
}

}  // namespace mark::net
