#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

#include "echo_server.h"
#include "http2_client.h"

namespace mark::net {

namespace {

TEST_CASE("a call is answered, and so are many on one connection") {
  EchoServer echo;
  LoopThread loop;
  TestClient client(loop, echo.server.address());
  std::vector<TestClient::Pending> pending;
  pending.reserve(500);
  for (int i = 0; i < 500; ++i) pending.push_back(client.start(kEchoPath, std::to_string(i)));
  for (int i = 0; i < 500; ++i) {
    const TestResponse response = TestClient::wait(std::move(pending[static_cast<std::size_t>(i)]));
    CHECK(response.value(":status") == "200");
    CHECK(response.value("content-type") == "application/grpc");
    CHECK(response.body == framed(std::to_string(i)));
    CHECK(response.status() == "0");
    CHECK(response.error == Http2Error::kNone);
  }
  CHECK(echo.server.counts().calls == 500);
}

TEST_CASE("large messages pass, both ways") {
  EchoServer echo;
  LoopThread loop;
  TestClient client(loop, echo.server.address());
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{4096}, std::size_t{4097}, std::size_t{65'536}, std::size_t{64} << 20U}) {
    const std::string message(size, 'x');
    const TestResponse response = client.call(kEchoPath, message);
    CHECK(response.status() == "0");
    CHECK(response.body == framed(message));
  }
}

TEST_CASE("a failure is a status without a body, its message percent-encoded") {
  EchoServer echo;
  LoopThread loop;
  TestClient client(loop, echo.server.address());
  const TestResponse response = client.call(kEchoPath, "fail");
  CHECK(response.status() == "5");
  CHECK(response.value("grpc-message") == "100%25 f%C3%BCr %0A nothing");
  CHECK(response.value("more") == "detail");
  CHECK(response.body.empty());
  CHECK(response.has_ended);
}

}  // namespace

}  // namespace mark::net
