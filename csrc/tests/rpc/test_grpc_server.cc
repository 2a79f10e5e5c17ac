#include <doctest/doctest.h>

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "echo_server.h"
#include "http2_client.h"

namespace mark::net {

namespace {

TEST_CASE("a call is answered, and so are many on one connection") {
  const EchoServer echo;
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
  const EchoServer echo;
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
  const EchoServer echo;
  LoopThread loop;
  TestClient client(loop, echo.server.address());
  const TestResponse response = client.call(kEchoPath, "fail");
  CHECK(response.status() == "5");
  CHECK(response.value("grpc-message") == "100%25 f%C3%BCr %0A nothing");
  CHECK(response.value("more") == "detail");
  CHECK(response.body.empty());
  CHECK(response.has_ended);
}

TestClient::Headers without(std::string_view name) {
  TestClient::Headers headers = TestClient::call_headers(kEchoPath);
  std::erase_if(headers, [&](const auto& header) { return header.first == name; });
  return headers;
}

TestClient::Headers with(std::string_view name, std::string_view value) {
  TestClient::Headers headers = without(name);
  headers.insert(name.starts_with(':') ? headers.begin() : headers.end(), {std::string(name), std::string(value)});
  return headers;
}

TEST_CASE("what is no gRPC call gets an answer that says so") {
  const EchoServer echo;
  LoopThread loop;
  TestClient client(loop, echo.server.address());
  const auto answer = [&](const TestClient::Headers& headers, const std::string& body) {
    return TestClient::wait(client.open(headers, body, true).second);
  };
  const std::string body = framed("x");
  CHECK(answer(with(":method", "GET"), body).value(":status") == "405");
  CHECK(answer(without("content-type"), body).value(":status") == "415");
  CHECK(answer(with("content-type", "application/json"), body).value(":status") == "415");
  CHECK(answer(with("content-type", "application/grpc-web"), body).value(":status") == "415");
  CHECK(answer(with("content-type", "application/grpc+proto"), body).status() == "0");
  CHECK(answer(with("content-type", "application/grpc;charset=utf-8"), body).status() == "0");

  const TestResponse unknown = answer(with(":path", "/no.Such/Method"), body);
  CHECK(unknown.status() == "12");
  CHECK(unknown.message() == "Method not found!");
  CHECK(answer(TestClient::call_headers(kEchoPath), "").status() == "12");
  CHECK(answer(TestClient::call_headers(kEchoPath), body.substr(0, 5)).status() == "13");
  CHECK(answer(TestClient::call_headers(kEchoPath), body + body).body == body);
  CHECK(answer(TestClient::call_headers(kEchoPath), std::string("\2") + body.substr(1)).status() == "13");
  CHECK(answer(with("grpc-timeout", "soon"), body).message() == "Error parsing 'grpc-timeout' metadata");
  CHECK(answer(with("grpc-timeout", "0m"), body).status() == "4");
  CHECK(answer(with("grpc-timeout", "10S"), body).status() == "0");
}

TEST_CASE("compressed requests are taken, those of an unknown compression are told what there is") {
  const EchoServer echo;
  LoopThread loop;
  TestClient client(loop, echo.server.address());
  const auto answer = [&](const char* encoding) {
    return TestClient::wait(client.open(with("grpc-encoding", encoding), framed("plain"), true).second);
  };
  const std::string message(10'000, 'x');
  for (const GrpcEncoding encoding : {GrpcEncoding::kGzip, GrpcEncoding::kDeflate}) {
    std::string body = framed(deflated(message, encoding));
    body[0] = 1;
    const char* const name = encoding == GrpcEncoding::kGzip ? "gzip" : "deflate";
    CHECK(TestClient::wait(client.open(with("grpc-encoding", name), body, true).second).body == framed(message));
    const TestResponse undeclared = TestClient::wait(client.open(without("grpc-encoding"), body, true).second);
    CHECK(undeclared.status() == "13");
    const TestResponse unknown = TestClient::wait(client.open(with("grpc-encoding", "snappy"), body, true).second);
    CHECK(unknown.status() == "12");
    CHECK(unknown.value("grpc-accept-encoding") == "identity, deflate, gzip");
    CHECK(answer("gzip, gzip").status() == "12");
    CHECK(answer("").status() == "12");
  }
}

TEST_CASE("a message beyond the limit is refused with grpcio's words, before it is sent") {
  GrpcServerParams params = echo_params();
  params.message_bytes_max = 100;
  const EchoServer echo(params);
  LoopThread loop;
  TestClient client(loop, echo.server.address());
  CHECK(client.call(kEchoPath, std::string(100, 'x')).status() == "0");
  // Only the prefix: the answer waits for no more.
  auto [stream, pending] =
      client.open(TestClient::call_headers(kEchoPath), framed(std::string(101, 'x')).substr(0, 5), false);
  const TestResponse response = TestClient::wait(std::move(pending));
  CHECK(response.status() == "8");
  CHECK(response.message() == "SERVER: Received message larger than max (101 vs. 100)");
  std::string bomb = framed(deflated(std::string(2'000, '\0'), GrpcEncoding::kGzip));
  bomb[0] = 1;
  const TestResponse inflated_response =
      TestClient::wait(client.open(with("grpc-encoding", "gzip"), bomb, true).second);
  CHECK(inflated_response.status() == "8");
  CHECK(inflated_response.message() == "Decompressed message larger than max");
  CHECK(echo.server.counts().messages_refused == 2);
}

TEST_CASE("what is being received in all has a limit, and room again when it is received or given up") {
  GrpcServerParams params = echo_params();
  params.received_bytes_max = 100'000;
  const EchoServer echo(params);
  LoopThread loop;
  TestClient client(loop, echo.server.address());
  const std::string most = framed(std::string(90'000, 'x'));
  for (int i = 0; i < 3; ++i) {
    auto [stream, pending] = client.open(TestClient::call_headers(kEchoPath), most.substr(0, 80'000), false);
    auto [other, refused] = client.open(TestClient::call_headers(kEchoPath), most.substr(0, 80'000), false);
    CHECK(TestClient::wait(std::move(refused)).status() == "8");
    if (i == 0) {
      client.reset(stream);
      TestClient::wait(std::move(pending));
    } else {
      client.send(stream, most.substr(80'000));
      client.end(stream);
      CHECK(TestClient::wait(std::move(pending)).status() == "0");
    }
    // A reset takes its way to the server; on one connection whatever follows it comes after it.
    CHECK(client.call(kEchoPath, "small").status() == "0");
  }
}

TEST_CASE("a handler hears of the deadline, and of a client that leaves") {
  EchoServer echo;
  LoopThread loop;
  TestClient client(loop, echo.server.address());
  const TestClient::Headers headers = with("grpc-timeout", "60S");
  auto [stream, pending] = client.open(headers, framed("wait"), true);
  REQUIRE(echo.handler.wait_for(1, 0));
  const TimeNs deadline = echo.handler.deadline().value_or(TimeNs{});
  CHECK(deadline - steady_now() > std::chrono::seconds(50));
  CHECK(deadline - steady_now() <= std::chrono::seconds(60));
  client.reset(stream);
  CHECK(echo.handler.wait_for(0, 1));
  {
    TestClient other(loop, echo.server.address());
    other.start(kEchoPath, "wait");
    other.start(kEchoPath, "wait");
    CHECK(echo.handler.wait_for(2, 1));
  }
  CHECK(echo.handler.wait_for(0, 3));
  CHECK(echo.server.counts().calls_cancelled == 3);
  auto late = client.start(kEchoPath, "wait");
  CHECK(echo.handler.wait_for(1, 3));
  echo.handler.answer_all();
  CHECK(TestClient::wait(std::move(late)).body == framed("late"));
}

TEST_CASE("a deadline ends its call wherever it is, and nothing else") {
  EchoServer echo;
  LoopThread loop;
  TestClient client(loop, echo.server.address());
  const TestClient::Headers soon = with("grpc-timeout", "50m");
  const TimeNs began = steady_now();
  auto forever = client.start(kEchoPath, "wait");
  auto long_yet = client.open(with("grpc-timeout", "60S"), framed("wait"), true);
  auto computed = client.open(soon, framed("wait"), true);
  std::vector<TestClient::Pending> under_way;
  for (const std::size_t sent : {std::size_t{0}, std::size_t{3}, std::size_t{7}}) {
    under_way.push_back(client.open(soon, framed("a message").substr(0, sent), false).second);
  }
  // Many that end in time leave nothing behind.
  for (int i = 0; i < 300; ++i)
    CHECK(TestClient::wait(client.open(with("grpc-timeout", "9S"), framed("x"), true).second).status() == "0");
  under_way.push_back(std::move(computed.second));
  for (TestClient::Pending& pending : under_way) {
    const TestResponse response = TestClient::wait(std::move(pending));
    CHECK(response.status() == "4");
    CHECK(response.message() == "Deadline Exceeded");
  }
  CHECK(steady_now() - began >= std::chrono::milliseconds(50));
  CHECK(echo.handler.wait_for(2, 1));  // of the one that was handed over, once
  echo.handler.answer_all();
  CHECK(TestClient::wait(std::move(forever)).body == framed("late"));
  CHECK(TestClient::wait(std::move(long_yet.second)).body == framed("late"));
}

TEST_CASE("an earlier deadline that comes later is first") {
  EchoServer echo;
  LoopThread loop;
  TestClient client(loop, echo.server.address());
  const auto late = client.open(with("grpc-timeout", "60S"), framed("wait"), true);
  REQUIRE(echo.handler.wait_for(1, 0));
  CHECK(TestClient::wait(client.open(with("grpc-timeout", "20m"), framed("wait"), true).second).status() == "4");
  client.reset(late.first);
  CHECK(echo.handler.wait_for(0, 2));
}

TEST_CASE("what comes compressed may have a limit of its own") {
  GrpcServerParams params = echo_params();
  params.message_bytes_max = -1;
  params.inflated_bytes_max = 1'000;
  const EchoServer echo(params);
  LoopThread loop;
  TestClient client(loop, echo.server.address());
  CHECK(client.call(kEchoPath, std::string(5'000, 'x')).status() == "0");
  for (const auto& [size, status] : {std::pair{1'000, "0"}, std::pair{1'001, "8"}}) {
    std::string body = framed(deflated(std::string(static_cast<std::size_t>(size), 'x'), GrpcEncoding::kGzip));
    body[0] = 1;
    CHECK(TestClient::wait(client.open(with("grpc-encoding", "gzip"), body, true).second).status() == status);
  }
}

TEST_CASE("an answer to a call that is over, or was answered, changes nothing") {
  class Twice final : public UnaryHandler {
   public:
    void on_call(CallLoop& calls, UnaryCall call) override {
      calls.reply(call.id, "first");
      calls.reply(call.id, "second");
      calls.fail(call.id, {StatusCode::kInternal, "third", {}});
    }
    void on_cancelled(CallLoop& /*calls*/, CallId /*call*/) override { FAIL("it was answered"); }
  };
  Twice twice;
  GrpcServer server(echo_params());
  server.handle("/twice", twice);
  server.start();
  LoopThread loop;
  TestClient client(loop, server.address());
  for (int i = 0; i < 3; ++i) CHECK(client.call("/twice", "").body == framed("first"));
}

TEST_CASE("draining: new calls are refused, those in flight are answered, the connection ends") {
  EchoServer echo;
  LoopThread loop;
  TestClient client(loop, echo.server.address());
  auto pending = client.start(kEchoPath, "wait");
  REQUIRE(echo.handler.wait_for(1, 0));
  echo.server.drain();
  REQUIRE(client.told_to_go().wait_for(kTestPatience) == std::future_status::ready);
  CHECK_THROWS_AS(TestClient(loop, echo.server.address()), std::system_error);
  echo.handler.answer_all();
  CHECK(TestClient::wait(std::move(pending)).body == framed("late"));
  CHECK(client.closed().wait_for(kTestPatience) == std::future_status::ready);
}

TEST_CASE("stopping: what was answered is sent, what was not is cancelled") {
  LoopThread loop;
  EchoServer echo;
  TestClient client(loop, echo.server.address());
  auto answered = client.start(kEchoPath, "wait");
  REQUIRE(echo.handler.wait_for(1, 0));
  echo.handler.answer_all();
  auto open = client.start(kEchoPath, "wait");
  REQUIRE(echo.handler.wait_for(1, 0));
  echo.server.stop();
  echo.server.stop();
  CHECK(echo.handler.wait_for(0, 1));
  CHECK(TestClient::wait(std::move(answered)).body == framed("late"));
  CHECK(TestClient::wait(std::move(open)).error != Http2Error::kNone);
  CHECK(echo.server.counts().connections_open == 0);
}

TEST_CASE("connections are spread over the threads, and no more than the limit are taken") {
  GrpcServerParams params = echo_params("127.0.0.1:0", 3);
  params.connections_max = 6;
  const EchoServer echo(params);
  LoopThread loop;
  std::vector<std::unique_ptr<TestClient>> clients;
  clients.reserve(6);
  for (int i = 0; i < 6; ++i) {
    clients.push_back(std::make_unique<TestClient>(loop, echo.server.address()));
    CHECK(clients.back()->call(kEchoPath, "x").status() == "0");
  }
  TestClient seventh(loop, echo.server.address());
  CHECK(seventh.closed().wait_for(kTestPatience) == std::future_status::ready);
  CHECK(echo.server.counts().connections_refused == 1);
  CHECK(echo.server.counts().connections_open == 6);
}

// Echoes, and counts how many calls came on each thread.
class CallsByThread final : public UnaryHandler {
 public:
  void on_call(CallLoop& calls, UnaryCall call) override {
    {
      const std::lock_guard lock(mutex_);
      ++calls_[&calls];
    }
    calls.reply(call.id, std::move(call.message));
  }
  void on_cancelled(CallLoop& /*calls*/, CallId /*call*/) override {}
  int of(CallLoop* calls) {
    const std::lock_guard lock(mutex_);
    return calls_[calls];
  }

 private:
  std::mutex mutex_;
  std::map<CallLoop*, int> calls_;
};

TEST_CASE("the more the first thread does for the others, the fewer connections it is given") {
  GrpcServerParams params = echo_params("127.0.0.1:0", 2);
  params.first_thread_share = 0.25;
  CallsByThread handler;
  GrpcServer server(params);
  server.handle(kEchoPath, handler);
  server.start();
  LoopThread loop;
  std::vector<std::unique_ptr<TestClient>> clients;
  clients.reserve(8);
  for (int i = 0; i < 8; ++i) {
    clients.push_back(std::make_unique<TestClient>(loop, server.address()));
    REQUIRE(clients.back()->call(kEchoPath, "x").status() == "0");
  }
  const std::vector<CallLoop*> loops = server.call_loops();
  CHECK(handler.of(loops[0]) == 3);  // and as much to do as two more take
  CHECK(handler.of(loops[1]) == 5);
}

TEST_CASE("one client sends without end, and another is answered") {
  const EchoServer echo;
  LoopThread loop;
  LoopThread greedy_loop;
  TestClient greedy(greedy_loop, echo.server.address());
  std::vector<TestClient::Pending> pending;
  pending.reserve(20);
  for (int i = 0; i < 20; ++i) pending.push_back(greedy.start(kEchoPath, std::string(4 << 20, 'x')));
  TestClient modest(loop, echo.server.address());
  for (int i = 0; i < 20; ++i) CHECK(modest.call(kEchoPath, "x").status() == "0");
  for (auto& one : pending) CHECK(TestClient::wait(std::move(one)).status() == "0");
}

}  // namespace

}  // namespace mark::net
