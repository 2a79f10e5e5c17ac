#include <doctest/doctest.h>

#include <chrono>
#include <string>

#include "net/request_end.h"

namespace mark::net {
namespace {

using namespace std::chrono_literals;

TEST_CASE("a pushback is rounded up, and there is none where waiting does not help") {
  const RequestEnd soon = end_of(Refusal{Admission::kQueueFull, 1'000'001ns});
  CHECK(soon.message == "the queue is full; try again in 2 ms, or allow more time");
  CHECK(soon.retry_after_ms == 2);
  const RequestEnd never = end_of(Refusal{Admission::kPredictedMiss, 0ns});
  CHECK(never.message ==
        "no worker can answer before the deadline; nothing is queued, so it will be no sooner later; allow more time");
  CHECK(!never.retry_after_ms);
  CHECK(status_name_of(never.kind) == "RESOURCE_EXHAUSTED");
}

TEST_CASE("who is shed is told why, and not to wait") {
  const RequestEnd shed = end_of(Refusal{Admission::kShed, 1ms});
  CHECK(shed.message.find("the budget does not pay for all requests of the lowest priority") == 0);
  CHECK(!shed.retry_after_ms);
  CHECK(status_name_of(shed.kind) == "RESOURCE_EXHAUSTED");
}

TEST_CASE("an unknown model is told which ones are served, in order") {
  const RequestEnd end = unknown_model("\xff'", {"b", "a"});
  CHECK(end.message == "model_name: unknown model '\\xff''; served are a, b");
  CHECK(status_name_of(end.kind) == "NOT_FOUND");
}

TEST_CASE("an unknown version is told which one is served") {
  const RequestEnd end = unknown_version("m", "9\n", "1");
  CHECK(end.message == "model_version: model 'm' has no version '9\\x0a'; served is '1'");
  CHECK(status_name_of(end.kind) == "NOT_FOUND");
}

TEST_CASE("a model error without words has some") {
  CHECK(end_of(Outcome::kModelError, "", 0ns).message == "the model failed on this request");
  CHECK(end_of(Outcome::kModelError, "boom", 0ns).message == "boom");
}

TEST_CASE("the text of a status is UTF-8 and no longer than gRPC carries") {
  CHECK(status_text("\xe2\x82\xac is fine, \xe2\x82 is not, nor is \xff") ==
        "\xe2\x82\xac is fine, \\xe2\\x82 is not, nor is \\xff");
  const std::string most(600, 'x');
  CHECK(status_text(most) == most);
  CHECK(status_text(most + "x") == std::string(597, 'x') + "...");
  std::string euros;
  for (int i = 0; i < 601; ++i) euros += "\xe2\x82\xac";
  CHECK(status_text(euros) == euros.substr(0, 3 * std::size_t{597}) + "...");
  CHECK(status_text(std::string(300, '\xff')).size() == 600);
}

}  // namespace
}  // namespace mark::net
